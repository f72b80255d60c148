"""Writes what a run has learnt, as the nodes and ComfyUI's own loaders read it.

    python -m idpatch_core.training.export RUN FOLDER [--step N] [--raw] [--dtype fp16]

`id-patch.safetensors` and `id-patch.bin` (the released layout) hold the projections,
`ControlNetModel/` the ControlNet in diffusers' layout, which Load ControlNet reads, and `unet/` or
`unet_lora.safetensors` the UNet if it learnt, for Load Diffusion Model or Load LoRA.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..checkpoint import FACE, PATCH_SIZE, write_id_patch
from . import checkpoints
from .config import Config, build
from .networks import Networks, load_networks
from .trainable import ADAPTER, is_lora, select

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def load_run(output: Path, step: int | None = None, raw: bool = False) -> tuple[Networks, Config]:
    """Load a run's networks at a step, the last by default, and its config.

    The moving averages are taken if there are any, unless `raw`. Raises ValueError if there is no
    such checkpoint.
    """
    path = output / "config.json"
    if not path.is_file():
        raise ValueError(f"run: {output} is no folder of a run, it has no config.json.")
    config = build(Config, json.loads(path.read_text("utf-8")), "")
    checkpoint = checkpoints.of_step(output, step)
    file = checkpoint / checkpoints.AVERAGES
    if raw or not file.is_file():
        file = checkpoint / checkpoints.WEIGHTS
    if not file.is_file():
        raise ValueError(f"run: {checkpoint} has no {checkpoints.WEIGHTS}.")
    return rebuild(load_file(file), config).eval(), config


def rebuild(weights: dict[str, Tensor], config: Config) -> Networks:
    """Load what a config's training began with, and give it the weights that learnt.

    Raises ValueError for a weight that the config's networks do not have.
    """
    networks = load_networks(config, weights_embedding(weights, config))
    select(networks, config.trained)
    unknown = networks.load_state_dict(weights, strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"run: there is a weight {unknown[0]}, which the networks have not.")
    return networks


def weights_embedding(weights: dict[str, Tensor], config: Config) -> int:
    """Return the length of the face features that the weights were trained on."""
    for name in ("patch_proj.proj_in.weight", "patch_proj.proj.0.weight"):
        if name in weights:
            return weights[name].shape[1]
    from .data import Prepared

    return Prepared(config.data.prepared).embeddings.shape[1]


def export(
    output: Path,
    target: Path,
    step: int | None = None,
    raw: bool = False,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a run's networks to the folder `target`; parts that the run did not train as well."""
    networks, config = load_run(output, step, raw)
    if dtype is not None:
        networks.to(dtype)
    target.mkdir(parents=True, exist_ok=True)
    states = networks.patch_proj.state_dict(), networks.prompt_proj.state_dict()
    about = {"trained_steps": str(checkpoints.step_of(checkpoints.of_step(output, step)))}
    if networks.face_sized:  # the released layout cannot say so
        about[PATCH_SIZE] = FACE
    write_id_patch(target / "id-patch.safetensors", *states, about)
    write_id_patch(target / "id-patch.bin", *states)
    networks.controlnet.save_pretrained(str(target / "ControlNetModel"))
    if config.trained.lora_rank:
        networks.unet.save_lora_adapter(
            str(target), adapter_name=ADAPTER, weight_name="unet_lora.safetensors"
        )
    elif any(p.requires_grad and not is_lora(n) for n, p in networks.unet.named_parameters()):
        networks.unet.save_pretrained(str(target / "unet"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.training.export",
        description="Writes what a run has learnt, as the nodes read it.",
    )
    parser.add_argument("run", type=Path, help="the run's output folder")
    parser.add_argument("folder", type=Path, help="what to write")
    parser.add_argument("--step", type=int, help="of the checkpoint; the last by default")
    parser.add_argument("--raw", action="store_true", help="not the moving averages")
    parser.add_argument("--dtype", choices=DTYPES, help="convert the weights")
    options = parser.parse_args(arguments)
    try:
        dtype = DTYPES.get(options.dtype)
        export(options.run, options.folder, options.step, options.raw, dtype)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Wrote {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
