"""Exports a run's networks in the layouts that the nodes and ComfyUI's loaders read.

    python -m idpatch_core.training.export RUN FOLDER [--step N] [--raw] [--dtype fp16]

`id-patch.safetensors` and `id-patch.bin` (the released layout) hold the projections,
`ControlNetModel/` the ControlNet in diffusers' layout, for Load ControlNet Model, and `unet/` or
`unet_lora.safetensors` a UNet that was trained, for Load Diffusion Model or Load LoRA.
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..checkpoint import FACE, PATCH_SIZE, write_id_patch
from ..command_line import report_errors
from ..safetensors_file import write_safetensors
from ..weights import WEIGHT_DTYPES
from .checkpoint_folder import AVERAGES_FILE, WEIGHTS_FILE, checkpoint_step, find_checkpoint
from .config import Config
from .networks import Networks, load_networks
from .prepared_data import PreparedData
from .run_folder import read_config
from .trainable import ADAPTER, is_lora, select_trainable

LORA_FILE = "unet_lora.safetensors"
LORA_PARTS = {"A": "down", "B": "up"}  # peft's names and kohya-ss's


def load_run(output: Path, step: int | None = None, raw: bool = False) -> tuple[Networks, Config]:
    """Load a run's networks at a step, the last by default, and its config.

    The weights are the moving averages if there are any, unless `raw`. Raises ValueError if there
    is no such checkpoint.
    """
    config = read_config(output)
    checkpoint = find_checkpoint(output, step)
    file = checkpoint / AVERAGES_FILE
    if raw or not file.is_file():
        file = checkpoint / WEIGHTS_FILE
    if not file.is_file():
        raise ValueError(f"run: {checkpoint} has no {WEIGHTS_FILE}.")
    return rebuild_networks(load_file(file), config).eval(), config


def rebuild_networks(weights: dict[str, Tensor], config: Config) -> Networks:
    """Load the networks that a config starts from, with the given trained weights.

    Raises ValueError for a weight that these networks do not have.
    """
    networks = load_networks(config, find_embedding_dim(weights, config))
    select_trainable(networks, config.trainable)
    unknown = networks.load_state_dict(weights, strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"run: it has a weight {unknown[0]} that the networks do not have.")
    return networks


def find_embedding_dim(weights: dict[str, Tensor], config: Config) -> int:
    """Return the length of the embeddings that the weights were trained on."""
    for name in ("patch_proj.proj_in.weight", "patch_proj.proj.0.weight"):
        if name in weights:
            return weights[name].shape[1]
    return PreparedData(config.data.prepared).embedding_dim


def export(
    output: Path,
    folder: Path,
    step: int | None = None,
    raw: bool = False,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a run's projections and ControlNet to a folder, and the UNet if it was trained."""
    networks, config = load_run(output, step, raw)
    if dtype is not None:
        networks.to(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    states = networks.patch_proj.state_dict(), networks.prompt_proj.state_dict()
    metadata = {"trained_steps": str(checkpoint_step(find_checkpoint(output, step)))}
    if networks.face_sized:  # the released layout has no metadata for it
        metadata[PATCH_SIZE] = FACE
    write_id_patch(folder / "id-patch.safetensors", *states, metadata)
    write_id_patch(folder / "id-patch.bin", *states)
    networks.controlnet.save_pretrained(str(folder / "ControlNetModel"))
    if config.trainable.lora_rank:
        write_safetensors(read_lora(networks.unet), folder / LORA_FILE)
    elif any(p.requires_grad and not is_lora(n) for n, p in networks.unet.named_parameters()):
        networks.unet.save_pretrained(str(folder / "unet"))


def read_lora(unet: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a UNet's LoRA under the names that Load LoRA reads in all layers.

    peft's names have dots, of which ComfyUI finds no attention layer; these are kohya-ss's, which
    diffusers' `load_lora_weights` reads as well. `alpha` equals the rank, for a scale of 1.
    """
    from peft import get_peft_model_state_dict

    weights = {}
    for name, weight in get_peft_model_state_dict(unet, adapter_name=ADAPTER).items():
        layer, _, kind = name.removesuffix(".weight").rpartition(".lora_")
        prefix = f"lora_unet_{layer.replace('.', '_')}"
        weights[f"{prefix}.lora_{LORA_PARTS[kind]}.weight"] = weight.detach().contiguous()
        if kind == "A":
            weights[f"{prefix}.alpha"] = torch.tensor(float(weight.shape[0]), dtype=weight.dtype)
    return weights


@report_errors
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.training.export",
        description="Exports a run's networks in the layouts that the nodes read.",
    )
    parser.add_argument("run", type=Path, help="the run's output folder")
    parser.add_argument("folder", type=Path, help="the folder to write")
    parser.add_argument("--step", type=int, help="of the checkpoint; the last by default")
    parser.add_argument("--raw", action="store_true", help="no moving averages")
    parser.add_argument("--dtype", choices=WEIGHT_DTYPES, help="convert the weights")
    options = parser.parse_args(arguments)
    dtype = WEIGHT_DTYPES.get(options.dtype)
    export(options.run, options.folder, options.step, options.raw, dtype)
    print(f"Wrote {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
