"""Writes and reads checkpoints through accelerate: trainable weights, averages, random states."""

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .checkpoint_folder import (
    AVERAGES_FILE,
    WEIGHTS_FILE,
    complete_checkpoint,
    partial_checkpoint,
)
from .config import Config
from .ema import EMA
from .sharding import gather_tensors, shard_like
from .trainable import named_weights


def register_checkpoint_hooks(accelerator: Any, trainable: list[str], ema: EMA | None) -> None:
    """Let checkpoints hold the full trainable weights and averages, without the frozen networks.

    FSDP also writes and reads shards of all networks, and passes no weights and models then.
    """

    def write(models: list[nn.Module], weights: list[dict[str, Tensor]], folder: str) -> None:
        weights.clear()  # accelerate then writes none itself
        networks = accelerator.unwrap_model(models[0])
        files = {WEIGHTS_FILE: named_weights(networks, trainable)}
        if ema is not None:
            files[AVERAGES_FILE] = ema.shadow
        for name, tensors in files.items():
            tensors = gather_tensors(tensors)
            if accelerator.is_main_process:
                check_weights_finite(tensors)
                save_file(tensors, Path(folder, name))

    def read(models: list[nn.Module], folder: str) -> None:
        if models:
            networks = accelerator.unwrap_model(models.pop())
            networks.load_state_dict(load_file(Path(folder, WEIGHTS_FILE)), strict=False)
        if ema is not None:
            averages = load_file(Path(folder, AVERAGES_FILE))
            ema.shadow = {name: shard_like(w, ema.shadow[name]) for name, w in averages.items()}

    accelerator.register_save_state_pre_hook(write)
    accelerator.register_load_state_pre_hook(read)


def check_weights_finite(tensors: dict[str, Tensor]) -> None:
    """Raise a ValueError if a weight is not finite: a checkpoint of it would be of no use."""
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(
                f"run: the weight {name} is no longer finite, so this step is not saved. Begin "
                "another run from the export of the last checkpoint, with a lower "
                "optimiser.learning_rate."
            )


def save_checkpoint(accelerator: Any, output: Path, step: int, keep: int) -> None:
    """Write a checkpoint, completely or not at all, and remove all but the last `keep`.

    Raises ValueError if the disk cannot take it.
    """
    part = partial_checkpoint(output, step)
    try:
        if accelerator.is_main_process:
            shutil.rmtree(part, ignore_errors=True)  # of an earlier attempt
        accelerator.wait_for_everyone()
        accelerator.save_state(str(part))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            complete_checkpoint(output, step, keep)
    except ValueError:
        raise
    except Exception as error:  # safetensors and torch have kinds of their own for a full disk
        raise ValueError(
            f"run.output: step {step} could not be saved in {output}: {error}. Mend that and "
            "repeat the command, which resumes from the last whole checkpoint."
        ) from error
    accelerator.wait_for_everyone()


def estimate_checkpoint_bytes(
    networks: nn.Module, trainable: list[str], config: Config, sharded: bool
) -> int:
    """Return about how large a checkpoint will be; with FSDP it also has shards of all networks."""
    weights = 4 * sum(w.numel() for w in named_weights(networks, trainable).values())
    moments = weights // 2 if config.optimiser.eight_bit else 2 * weights
    averages = weights if config.run.ema_decay else 0
    shards = sum(w.numel() * w.element_size() for w in networks.parameters()) if sharded else 0
    return weights + moments + averages + shards
