"""Makes the stand-in models: random weights in the released layouts, the same on every machine.

    python -m idpatch_core.demo.standins DIRECTORY

Run in ComfyUI's folder with the repository on PYTHONPATH; the demo does that once.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..arcface import IRSE50
from ..projection import Resampler

CHECKPOINT = "checkpoints/standin-sdxl.safetensors"
CONTROL_NET = "controlnet/standin-id-patch-controlnet.safetensors"
ID_PATCH = "idpatch/standin-id-patch.bin"
FACE_RECOGNITION = "facexlib/standin-arcface-ir-se50.pth"


def fill(network: nn.Module, seed: int, gain: float = 1.0) -> dict[str, Tensor]:
    """Return the network's entries with seeded random values that keep the signal's size."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in network.state_dict().items():
        values = torch.randn(value.shape, generator=generator)
        if value.ndim > 1:
            values *= gain / math.sqrt(value[0].numel())
        elif name.endswith("weight"):
            values = 1 + 0.1 * values
        else:
            values *= 0.02
        state[name] = values
    return state


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.half() for name, value in state.items()}


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def checkpoint() -> dict[str, Tensor]:
    """An SDXL checkpoint: UNet, both text encoders and a TAESD-type VAE."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.taesd.taesd import TAESD

    from .standin_pack.tiny_sdxl import EXTRA, UNET, TinySDXLClip

    unet = UNetModel(
        **UNET,
        **EXTRA,
        image_size=32,
        out_channels=4,
        num_classes="sequential",
        use_spatial_transformer=True,
        operations=comfy.ops.disable_weight_init,
    )
    clip = TinySDXLClip(dtype=torch.float32)
    clip_l, clip_g = half(fill(clip.clip_l, seed=2)), half(fill(clip.clip_g, seed=3))
    vae = fill(TAESD(), seed=4, gain=0.5)
    vae["vae_scale"], vae["vae_shift"] = torch.tensor(1.0), torch.tensor(0.0)
    vae["taesd_decoder.19.weight"] *= 16  # a grey picture with some contrast
    vae["taesd_decoder.19.bias"] = torch.full((3,), 0.5)
    return {
        **prefixed("model.diffusion_model.", fill(unet, seed=1)),
        **prefixed("conditioner.embedders.0.", clip_l),
        **prefixed("conditioner.embedders.1.", clip_g),
        **prefixed("first_stage_model.", vae),
    }


def control_net() -> dict[str, Tensor]:
    import comfy.cldm.cldm
    import comfy.ops

    from .standin_pack.tiny_sdxl import EXTRA, UNET

    config = {key: value for key, value in UNET.items() if key != "transformer_depth_output"}
    network = comfy.cldm.cldm.ControlNet(
        **config,
        **EXTRA,
        image_size=32,
        hint_channels=3,
        num_classes="sequential",
        use_spatial_transformer=True,
        operations=comfy.ops.disable_weight_init,
    )
    return fill(network, seed=5)


def id_patch() -> dict[str, dict[str, Tensor]]:
    """The two projections in the released layout, one layer deep and 64 wide."""
    small = {"width": 64, "depth": 1, "heads": 1}
    return {
        "patch_proj": fill(Resampler(queries=3, output=4096, **small), seed=6),
        "prompt_proj": fill(Resampler(queries=16, output=2048, **small), seed=7),
    }


def face_recognition() -> dict[str, Tensor]:
    """A full-size IR-SE50 with the weights of a formula, which need no stored random numbers."""
    with torch.device("meta"):
        entries = IRSE50().state_dict()
    return {name: formula_weight(name, tuple(entry.shape)) for name, entry in entries.items()}


def formula_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    seed = sum(ord(letter) * (i + 1) for i, letter in enumerate(name)) % 9973
    u = np.sin(12.9898 * (np.arange(math.prod(shape), dtype=np.float64) + 1) + 0.37 * seed)
    u = (u * 43758.5453) % 1.0
    if name.endswith("running_var"):
        values = 0.5 + u
    elif len(shape) > 1:
        values = (u - 0.5) * math.sqrt(12.0 / math.prod(shape[1:]))
    elif name.endswith("weight"):
        values = 0.8 + 0.4 * u
    else:
        values = 0.2 * (u - 0.5)
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


def use_cpu() -> None:
    """Tell ComfyUI, which looks for a graphics card on import, to do without."""
    import comfy.options

    sys.argv[1:] = ["--cpu"]
    comfy.options.enable_args_parsing()


def main(directory: Path) -> None:
    use_cpu()
    for file in (CHECKPOINT, CONTROL_NET, ID_PATCH, FACE_RECOGNITION):
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
    save_file(checkpoint(), directory / CHECKPOINT)
    save_file(control_net(), directory / CONTROL_NET)
    torch.save(id_patch(), directory / ID_PATCH)
    torch.save(face_recognition(), directory / FACE_RECOGNITION)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
