"""The tiny random SDXL UNet and ControlNet of tests/data/reference, in ComfyUI's own classes."""

from pathlib import Path

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import comfy.utils
import torch
from safetensors.torch import load_file

REFERENCE = Path(__file__).parents[1] / "data" / "reference"

# The UNet of unet_config.json in ComfyUI's own terms.
CONFIG = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 1, 1],
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    "transformer_depth_middle": 2,
    "context_dim": 2048,
    "adm_in_channels": 2816,
    "num_classes": "sequential",
    "num_head_channels": 16,
    "use_linear_in_transformer": True,
    "use_spatial_transformer": True,
    "use_temporal_attention": False,
}
CPU = torch.device("cpu")


class TinySDXL(comfy.supported_models.SDXL):
    unet_extra_config = {}  # SDXL's own would force 64 channels a head


def tiny_model() -> comfy.model_patcher.ModelPatcher:
    """Load the reference UNet as a MODEL."""
    config = TinySDXL(dict(CONFIG))
    config.set_inference_dtype(torch.float32, None)
    names = comfy.utils.unet_to_diffusers(CONFIG)
    weights = load_file(REFERENCE / "unet.safetensors")
    weights = {names[name]: weight.float() for name, weight in weights.items()}
    model = config.get_model(weights, "", device=CPU)
    model.diffusion_model.load_state_dict(weights)
    return comfy.model_patcher.ModelPatcher(model, CPU, CPU)


def tiny_control_net(
    weights: Path = REFERENCE / "controlnet.safetensors",
) -> comfy.controlnet.ControlNet:
    """Load the reference ControlNet, or another of its shape in diffusers' layout."""
    unused = ("out_channels", "transformer_depth_output")
    network = comfy.cldm.cldm.ControlNet(
        **{key: value for key, value in CONFIG.items() if key not in unused},
        hint_channels=3,
        dtype=torch.float32,
        device="cpu",
        operations=comfy.ops.disable_weight_init,
    )
    names = comfy.utils.unet_to_diffusers(CONFIG)
    for kind in (".weight", ".bias"):
        names[f"controlnet_mid_block{kind}"] = f"middle_block_out.0{kind}"
        names[f"controlnet_cond_embedding.conv_in{kind}"] = f"input_hint_block.0{kind}"
        names[f"controlnet_cond_embedding.conv_out{kind}"] = f"input_hint_block.14{kind}"
        for i in range(6):
            block = f"controlnet_cond_embedding.blocks.{i}{kind}"
            names[block] = f"input_hint_block.{2 + 2 * i}{kind}"
        for i in range(9):
            names[f"controlnet_down_blocks.{i}{kind}"] = f"zero_convs.{i}.0{kind}"
    state = load_file(weights)
    network.load_state_dict({names[name]: weight.float() for name, weight in state.items()})
    return comfy.controlnet.ControlNet(network, load_device=CPU)
