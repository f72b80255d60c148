import struct

import pytest

from idpatch_core.comfyui.errors import Interrupted, NodeError
from idpatch_core.comfyui.events import Event, read_events

GRAPH = {
    "1": {"class_type": "Load", "inputs": {}},
    "2": {"class_type": "Sample", "inputs": {}, "_meta": {"title": "Sampler"}},
}


def message(kind, prompt_id="mine", **data):
    return {"type": kind, "data": {"prompt_id": prompt_id, **data}}


def test_messages_become_events_until_the_prompt_has_run():
    messages = [
        {"type": "status", "data": {}},
        message("execution_cached", nodes=["1"]),
        message("executing", "other", node="1"),
        message("executing", node="2"),
        message("progress", node="2", value=1, max=3),
        struct.pack(">II", 1, 2) + b"png",
        struct.pack(">II", 3, 2) + b"text",
        message("executed", node="2", output={"images": []}),
        message("executing", node=None),
        message("executing", node="1"),
    ]
    assert list(read_events(GRAPH, "mine", messages)) == [
        Event("cached", "1", "Load"),
        Event("executing", "2", "Sampler"),
        Event("progress", "2", "Sampler", 1, 3),
        Event("preview", "2", "Sampler", data=b"png"),
        Event("executed", "2", "Sampler", data={"images": []}),
    ]


def test_a_failure_names_its_node():
    failed = message(
        "execution_error",
        node_id="2",
        node_type="Sample",
        exception_message="out of memory\n",
        traceback=["line 1\n", "line 2\n"],
    )
    with pytest.raises(NodeError, match=r"^Sampler \(node 2\): out of memory$") as error:
        list(read_events(GRAPH, "mine", [failed]))
    assert error.value.traceback == "line 1\nline 2\n"


def test_a_cancelled_prompt_is_interrupted():
    with pytest.raises(Interrupted):
        list(read_events(GRAPH, "mine", [message("execution_interrupted")]))
