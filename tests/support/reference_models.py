"""The tiny random SDXL UNet and ControlNet of tests/data/reference; the pack has to be loaded."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def small_sdxl() -> Any:
    """Return the pack's loader of small SDXL networks."""
    return import_module("comfyui_id_patch.nodes.small_sdxl")


def unet_config() -> dict[str, Any]:
    """Return the diffusers config of the reference UNet."""
    return json.loads((REFERENCE / "unet_config.json").read_text())


def tiny_model() -> Any:
    """Load the reference UNet as a MODEL."""
    pack = small_sdxl()
    return pack.load_unet(unet_config(), pack.read_float32(REFERENCE / "unet.safetensors"))


def tiny_control_net(weights: Path = REFERENCE / "controlnet.safetensors") -> Any:
    """Load the reference ControlNet, or another of its shape in diffusers' layout."""
    pack = small_sdxl()
    return pack.load_control_net(unet_config(), pack.read_float32(weights))
