"""A run's checkpoints on the disk, each written completely or not at all."""

import json
import os
import shutil
import sys
from pathlib import Path

from ..journal import write_whole

CHECKPOINTS = "checkpoints"
WEIGHTS_FILE = "weights.safetensors"  # the trainable ones
AVERAGES_FILE = "ema.safetensors"
SIZES_FILE = "sizes.json"  # of the checkpoint's other files, in bytes


def list_checkpoints(output: Path) -> list[Path]:
    """Return the run's checkpoints, the oldest first."""
    return sorted((output / CHECKPOINTS).glob("step-????????"))


def checkpoint_step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def find_checkpoint(output: Path, step: int | None) -> Path:
    """Return the checkpoint of a step, None for the last whole one; ValueError if there is none."""
    checkpoints = list_checkpoints(output)
    if step is not None:
        checkpoints = [c for c in checkpoints if checkpoint_step(c) == step]
    whole = [checkpoint for checkpoint in checkpoints if not find_damage(checkpoint)]
    if not whole:
        of_step = "" if step is None else f" of step {step}"
        damage = "".join(f" {c} is damaged: {find_damage(c)}." for c in checkpoints[-1:])
        raise ValueError(f"run: there is no checkpoint{of_step} in {output}.{damage}")
    return whole[-1]


def find_damage(checkpoint: Path) -> str:
    """Return what is wrong with a checkpoint's files; nothing if they are as they were written."""
    try:
        sizes = json.loads((checkpoint / SIZES_FILE).read_text("utf-8"))
        for name, size in sizes.items():
            found = (checkpoint / name).stat().st_size
            if found != size:
                return f"{name} has {found} bytes, expected {size}"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, AttributeError) as error:
        return f"its files cannot be read ({error})"
    return ""


def find_checkpoint_to_resume(output: Path) -> Path | None:
    """Return the last whole checkpoint, None for a new run, and rename damaged ones after it.

    Raises ValueError if the run has checkpoints and all of them are damaged.
    """
    damaged = []
    for checkpoint in reversed(list_checkpoints(output)):
        damage = find_damage(checkpoint)
        if not damage:
            for other in damaged:  # it must not be taken for the last one later
                target = other.with_name(f"damaged-{other.name}")
                shutil.rmtree(target, ignore_errors=True)
                other.rename(target)
            return checkpoint
        print(f"warning: {checkpoint} is not used: {damage}.", file=sys.stderr)
        damaged.append(checkpoint)
    if damaged:
        raise ValueError(
            f"run: all checkpoints in {output / CHECKPOINTS} are damaged. Restore one, or remove "
            "them to begin the run again."
        )
    return None


def partial_checkpoint(output: Path, step: int) -> Path:
    """Return the folder in which a checkpoint is written until it is complete."""
    return output / CHECKPOINTS / f"part-{step:08d}"


def complete_checkpoint(output: Path, step: int, keep: int) -> None:
    """Rename a fully written checkpoint to its final name; keep only the last `keep`.

    All of it is on the disk before it has that name.
    """
    part = partial_checkpoint(output, step)
    checkpoint = part.with_name(f"step-{step:08d}")
    files = sorted(path for path in part.rglob("*") if path.is_file())
    sizes = {path.relative_to(part).as_posix(): path.stat().st_size for path in files}
    write_whole(part / SIZES_FILE, json.dumps(sizes, indent=1).encode())
    for path in [*files, *(p for p in part.rglob("*") if p.is_dir()), part]:
        _synchronise(path)
    if checkpoint.exists():
        _remove_checkpoint(checkpoint)
    part.rename(checkpoint)
    _synchronise(checkpoint.parent)
    for old in list_checkpoints(output)[:-keep]:
        _remove_checkpoint(old)


def remove_partial_checkpoints(output: Path) -> None:
    """Remove the checkpoints of processes that died while writing or removing them."""
    for folder in (output / CHECKPOINTS).glob("part-*"):
        shutil.rmtree(folder)


def _remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint, which does not count as one from the first moment on."""
    part = checkpoint.with_name(checkpoint.name.replace("step-", "part-old-"))
    shutil.rmtree(part, ignore_errors=True)
    checkpoint.rename(part)
    shutil.rmtree(part)


def _synchronise(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
