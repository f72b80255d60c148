"""A run's checkpoints: folders that are there whole or not at all."""

import shutil
from pathlib import Path

FOLDER = "checkpoints"
WEIGHTS = "weights.safetensors"  # what learns
AVERAGES = "ema.safetensors"


def all_of(output: Path) -> list[Path]:
    """Return the run's whole checkpoints, the oldest first."""
    return sorted((output / FOLDER).glob("step-????????"))


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def of_step(output: Path, step: int | None) -> Path:
    """Return the checkpoint of a step, or the last one; ValueError if there is none."""
    there = all_of(output)
    if step is not None:
        there = [checkpoint for checkpoint in there if step_of(checkpoint) == step]
    if not there:
        raise ValueError(
            f"run: there is no checkpoint{'' if step is None else f' of step {step}'} in {output}."
        )
    return there[-1]


def part(output: Path, step: int) -> Path:
    """Return the folder a checkpoint is written in until it is whole."""
    return output / FOLDER / f"part-{step:08d}"


def complete(output: Path, step: int, keep: int) -> None:
    """Turn the finished part into a checkpoint and remove those beyond the last `keep`."""
    target = output / FOLDER / f"step-{step:08d}"
    shutil.rmtree(target, ignore_errors=True)
    part(output, step).rename(target)
    for old in all_of(output)[:-keep]:
        shutil.rmtree(old)


def remove_parts(output: Path) -> None:
    """Remove what a process left that died while it saved."""
    for left in (output / FOLDER).glob("part-*"):
        shutil.rmtree(left)
