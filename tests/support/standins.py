"""Makes the stand-in models: random weights in the released layouts, the same on every machine.

They are kept in the cache folder of `idpatch_core.comfyui.environment`. Making them needs a process
of its own, in ComfyUI's folder: `python -m standins DIRECTORY`.
"""

import math
import os
import sys
import time
from pathlib import Path

import face_weights
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from idpatch_core import projection
from idpatch_core.comfyui import environment
from idpatch_core.comfyui.environment import Environment
from idpatch_core.comfyui.lock import locked
from idpatch_core.projection import Resampler

HERE = Path(__file__).parent
PACK = HERE / "standin_pack"  # lets ComfyUI load them
SOURCES = (__file__, PACK / "tiny_sdxl.py", face_weights.__file__, projection.__file__)
KEPT_DAYS = 3

CHECKPOINT = "checkpoints/standin-sdxl.safetensors"
CONTROL_NET = "controlnet/standin-id-patch-controlnet.safetensors"
ID_PATCH = "idpatch/standin-id-patch.bin"
FACE_RECOGNITION = "facexlib/standin-arcface-ir-se50.pth"
FILES = {
    "checkpoint": CHECKPOINT,
    "controlnet": CONTROL_NET,
    "idpatch": ID_PATCH,
    "face_model": FACE_RECOGNITION,
}


def standin_names() -> dict[str, str]:
    """Return the files' names for `idpatch_core.comfyui.group_photo.set_models`."""
    return {name: file.split("/", 1)[1] for name, file in FILES.items()}


def standin_models(here: Environment) -> dict[str, Path]:
    """Return the stand-in models by their path below `models/`; make them if they are not there."""
    key = environment.hash_texts(*(Path(source).read_text() for source in SOURCES))
    cache = environment.cache_directory()
    directory = cache / f"standins-{key}"
    with locked(cache):
        if not environment.is_complete(directory, key):
            environment.say("Making stand-in models")
            for old in cache.glob("standins-*"):
                if time.time() - old.stat().st_mtime > KEPT_DAYS * 86400:
                    environment.remove(old)  # a server may still be using a younger one
            with environment.replacing(directory, key) as made:
                # Not from the repository: its package `nodes` would hide ComfyUI's.
                path = os.pathsep.join([str(environment.REPOSITORY), str(HERE)])
                variables = {**os.environ, "PYTHONPATH": path}
                command = [here.python, "-m", "standins", made]
                environment.run_command(*command, cwd=here.comfyui, env=variables)
    files = [file for file in directory.rglob("*") if file.is_file()]
    return {
        file.relative_to(directory).as_posix(): file
        for file in files
        if file.name != environment.COMPLETE
    }


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
    from standin_pack.tiny_sdxl import EXTRA, UNET, TinySDXLClip

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
    vae["taesd_decoder.19.weight"] *= 16  # a grey image with some contrast
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
    from standin_pack.tiny_sdxl import EXTRA, UNET

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
    return face_weights.formula_state()


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
