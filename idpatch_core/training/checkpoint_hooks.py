"""Writes and reads checkpoints through accelerate: trainable weights, averages, random states."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .ema import EMA
from .run_folder import AVERAGES_FILE, WEIGHTS_FILE, complete_checkpoint, partial_checkpoint
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


def save_checkpoint(accelerator: Any, output: Path, step: int, keep: int) -> None:
    """Write a checkpoint, completely or not at all, and remove all but the last `keep`."""
    accelerator.save_state(str(partial_checkpoint(output, step)))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        complete_checkpoint(output, step, keep)
    accelerator.wait_for_everyone()
