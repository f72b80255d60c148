import pytest
import torch
from projection_states import EMBEDDING_DIM, small_mlp, small_resampler
from torch import nn

from idpatch_core.projection import build_projection as build_plain

STATES = {"resampler": small_resampler(4, 16), "mlp": small_mlp(4, 16)}
X = torch.linspace(-1, 1, 3 * EMBEDDING_DIM).reshape(3, 1, EMBEDDING_DIM)


def call(network, x):
    return network(x)


def managed(comfy, state):
    networks = comfy.nodes.model_management
    build_projection = comfy.idpatch_core.projection.build_projection
    return networks.manage(build_projection(state, networks.operations))


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_keep_their_dtype_and_the_computation_is_in_float32(comfy, name, dtype):
    state = {key: tensor.to(dtype) for key, tensor in STATES[name].items()}
    patcher = managed(comfy, state)
    with torch.inference_mode():
        out = comfy.nodes.model_management.run_network(patcher, call, X.double())
        expected = build_plain({key: tensor.float() for key, tensor in state.items()})(X)
    assert out.dtype == torch.float32
    assert {parameter.dtype for parameter in patcher.model.parameters()} == {dtype}
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


def test_the_network_is_one_of_comfyui_s_loaded_models(comfy):
    from comfy import model_management

    patcher = managed(comfy, STATES["mlp"])
    assert not any(parameter.requires_grad for parameter in patcher.model.parameters())
    assert patcher not in [loaded.model for loaded in model_management.current_loaded_models]
    comfy.nodes.model_management.run_network(patcher, call, X)
    assert patcher in [loaded.model for loaded in model_management.current_loaded_models]


@pytest.mark.parametrize("name", STATES)
@torch.inference_mode()
def test_a_part_in_the_accelerator_s_memory_gives_the_same(comfy, name):
    patcher = managed(comfy, STATES[name])
    full = comfy.nodes.model_management.run_network(patcher, call, X)
    patcher.detach()
    patcher.load(patcher.load_device, lowvram_model_memory=9000)
    assert patcher.model.model_lowvram
    assert torch.equal(patcher.model(X), full)
    patcher.partially_unload(patcher.offload_device, 1e9)
    assert torch.equal(patcher.model(X), full)


@pytest.mark.parametrize("name", STATES)
def test_every_weight_follows_the_input_to_its_device(comfy, name):
    # As when ComfyUI keeps the weights in memory and computes elsewhere.
    patcher = managed(comfy, STATES[name])
    out = patcher.model(X.to("meta"))
    assert out.device.type == "meta"
    assert {parameter.device.type for parameter in patcher.model.parameters()} == {"cpu"}


def test_networks_loaded_in_inference_mode_can_be_moved_outside_it(comfy):
    from comfy import model_management

    with torch.inference_mode():
        patcher = managed(comfy, {k: t.clone() for k, t in STATES["resampler"].items()})
        inside = comfy.nodes.model_management.run_network(patcher, call, X)
    model_management.unload_all_models()
    patcher.model.to(torch.float64)  # as from one device to another
    patcher.model.to(torch.float32)
    with torch.inference_mode():
        assert torch.equal(comfy.nodes.model_management.run_network(patcher, call, X), inside)


def test_buffers_and_dtypes_survive_the_handover(comfy):
    with torch.inference_mode():
        network = nn.BatchNorm1d(3).half()
        comfy.nodes.model_management.manage(network)
    state = network.state_dict()
    assert not any(tensor.is_inference() for tensor in state.values())
    assert state["running_var"].tolist() == [1, 1, 1]
    assert (state["weight"].dtype, state["num_batches_tracked"].dtype) == (torch.half, torch.long)


def test_a_patcher_chosen_by_the_core_when_it_starts_is_used(comfy, monkeypatch):
    from comfy import model_patcher

    class Streaming(model_patcher.ModelPatcher):
        pass

    monkeypatch.setattr(model_patcher, "CoreModelPatcher", Streaming, raising=False)
    assert type(comfy.nodes.model_management.manage(nn.Linear(2, 2))) is Streaming
