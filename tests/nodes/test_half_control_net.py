"""ComfyUI's own Load ControlNet Model reads the ControlNets that `convert` writes."""

import logging
from typing import Any

import pytest
import torch
from dynamic_vram import dynamic_vram

from idpatch_core.controlnet_file import CONTROL_NET_DTYPES, convert_control_net

# The smallest SDXL ControlNet that ComfyUI loads: 1.1 GB, with attention at the lowest level only.
SMALL = {
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
HALF = ("fp16", "bf16", "fp8")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(comfy, tmp_path_factory):
    """Write a ControlNet with small random weights in float32, and its conversions."""
    from diffusers import ControlNetModel
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("control")
    torch.manual_seed(0)
    network = ControlNetModel(**SMALL)
    for layer in (*network.controlnet_down_blocks, network.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.02)
    save_file(network.state_dict(), folder / "fp32.safetensors")
    for name in HALF:
        target = folder / f"{name}.safetensors"
        convert_control_net(folder / "fp32.safetensors", target, CONTROL_NET_DTYPES[name])
    return folder


def load(folder: Any, name: str, caplog: Any, **options: Any) -> Any:
    import comfy.controlnet

    with caplog.at_level(logging.WARNING):
        loaded = comfy.controlnet.load_controlnet(
            str(folder / f"{name}.safetensors"), model_options=options
        )
    assert caplog.messages == []  # no missing weights, none left over
    return loaded


def run(comfy: Any, control_net: Any) -> list[torch.Tensor]:
    import comfy.model_management as model_management

    comfy.nodes.controlnet.check_control_net(control_net, 2048)
    model_management.load_models_gpu(control_net.get_models())
    generator = torch.Generator().manual_seed(1)
    shapes = {"x": (1, 4, 8, 8), "hint": (1, 3, 64, 64), "context": (1, 77, 2048), "y": (1, 2816)}
    dtype = control_net.manual_cast_dtype or control_net.control_model.dtype
    inputs = {
        name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()
    }
    outputs = control_net.control_model(timesteps=torch.tensor([500.0]).to(dtype), **inputs)
    return [output.float() for part in outputs.values() for output in part]


def relative_error(outputs: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    assert len(outputs) == len(expected) == 10
    return max(float((a - b).norm() / b.norm()) for a, b in zip(outputs, expected, strict=True))


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize(("name", "tolerance"), [("fp16", 2e-3), ("bf16", 2e-2), ("fp8", 0.3)])
@torch.inference_mode()
def test_it_computes_the_same_within_rounding(comfy, files, caplog, name, tolerance, deferred):
    with dynamic_vram(False):
        expected = run(comfy, load(files, "fp32", caplog))
    with dynamic_vram(deferred):
        control_net = load(files, name, caplog)
        for layer in control_net.control_model.modules() if deferred else ():
            if hasattr(layer, "comfy_cast_weights"):
                layer.comfy_cast_weights = True  # as ModelPatcherDynamic, which needs a card
        outputs = run(comfy, control_net)
    assert 0 < relative_error(outputs, expected) < tolerance


@torch.inference_mode()
def test_where_comfyui_computes_in_fp16_the_file_changes_nothing(comfy, files, caplog):
    whole, half = (load(files, name, caplog, dtype=torch.float16) for name in ("fp32", "fp16"))
    states = [control_net.control_model.state_dict() for control_net in (whole, half)]
    assert states[0].keys() == states[1].keys()
    for name, weight in states[0].items():
        assert weight.dtype == torch.float16 and torch.equal(weight, states[1][name])
