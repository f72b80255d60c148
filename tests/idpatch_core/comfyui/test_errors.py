import pytest

from idpatch_core.comfyui.errors import ComfyError, NodeError, raise_refusal

GRAPH = {"7": {"class_type": "Mix", "inputs": {}, "_meta": {"title": "Mixer"}}}


def test_an_accepted_prompt_raises_nothing():
    raise_refusal(GRAPH, {"prompt_id": "1", "node_errors": {}})


def test_a_refused_node_is_named_with_its_reasons():
    errors = [{"message": "Value not in list", "details": "size"}, {"message": "a", "details": "b"}]
    answer = {"error": {"message": "invalid"}, "node_errors": {"7": {"errors": errors}}}
    with pytest.raises(NodeError, match=r"^Mixer \(node 7\): Value not in list: size; a: b$"):
        raise_refusal(GRAPH, answer)


@pytest.mark.parametrize("error", [{"message": "no outputs", "details": ""}, "no outputs"])
def test_a_refused_graph_is_an_error(error):
    with pytest.raises(ComfyError, match=r"The server refused the prompt: no outputs$"):
        raise_refusal(GRAPH, {"error": error})


@pytest.mark.parametrize(
    ("exception_type", "message", "is_out_of_memory"),
    [
        ("torch.OutOfMemoryError", "Allocation on device", True),
        ("torch.cuda.OutOfMemoryError", "Tried to allocate 2 GB", True),
        ("MemoryError", "", True),
        ("RuntimeError", "MPS backend out of memory", True),
        ("RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate memory", True),
        ("ValueError", "no face was found", False),
        ("", "out of memory", False),
    ],
)
def test_out_of_memory_is_told_from_other_failures(exception_type, message, is_out_of_memory):
    error = NodeError("7", "Mixer", message, exception_type=exception_type)
    assert error.is_out_of_memory == is_out_of_memory
