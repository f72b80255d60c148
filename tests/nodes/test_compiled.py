"""UNet and ControlNet compile as whole graphs, two of them at most, for any number of people."""

import pytest
import torch
from diffusers_reference import random_case
from sampling import run_sampler


class Recorder:
    def __init__(self):
        self.graphs = []

    def __call__(self, graph, inputs):
        self.graphs.append(graph)
        return graph.forward


@pytest.fixture
def graphs(comfy, monkeypatch):
    """Return a backend that records its graphs and runs them as they are.

    The attention is PyTorch's, as on graphics cards: the CPU's default asks for the free memory.
    """
    import comfy.ldm.modules.attention as attention

    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    torch._dynamo.reset()
    yield Recorder()
    torch._dynamo.reset()


def compiled(tiny_sdxl, backend):
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    model = tiny_sdxl.model.clone()
    set_torch_compile_wrapper(model, backend=backend, fullgraph=True)
    return model


def test_the_unet_compiles_without_a_graph_break(comfy, tiny_sdxl, graphs):
    case = random_case(people=2, steps=4, ratio=0.5)
    expected = run_sampler(comfy, tiny_sdxl, case)
    model = compiled(tiny_sdxl, graphs)
    # Nothing is reused: what is kept on a layer would be compiled again in each run.
    made = run_sampler(comfy, tiny_sdxl, case, model=model, reuse_tokens=True)
    assert torch.equal(made, expected)
    assert len(graphs.graphs) == 2  # without and with the ID tokens
    case = random_case(people=5, steps=4, ratio=0.5)  # the length of the second is dynamic
    run_sampler(comfy, tiny_sdxl, case, model=model, reuse_tokens=True)
    assert len(graphs.graphs) == 2


def test_tokens_in_every_step_compile_once(comfy, tiny_sdxl, graphs):
    case = random_case(people=2, steps=3, ratio=1.0)
    run_sampler(comfy, tiny_sdxl, case, model=compiled(tiny_sdxl, graphs))
    assert len(graphs.graphs) == 1


def test_the_controlnet_compiles_without_a_graph_break(comfy, tiny_sdxl, graphs, monkeypatch):
    case = random_case(people=2, steps=4, ratio=0.5)
    expected = run_sampler(comfy, tiny_sdxl, case)
    network = tiny_sdxl.control_net.control_model
    forward = torch.compile(network.forward, backend=graphs, fullgraph=True)
    monkeypatch.setattr(network, "forward", forward)
    assert torch.equal(run_sampler(comfy, tiny_sdxl, case), expected)
    assert len(graphs.graphs) == 2
