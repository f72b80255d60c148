"""The folder of a run: its config, and its checkpoints, each written completely or not at all."""

import json
import shutil
from pathlib import Path

from .config import Config
from .config_file import build_dataclass

CONFIG_FILE = "config.json"
CHECKPOINTS = "checkpoints"
WEIGHTS_FILE = "weights.safetensors"  # the trainable ones
AVERAGES_FILE = "ema.safetensors"
# Settings that may differ when a run resumes; any other would make it a different run.
CHANGEABLE = (
    "sampling",
    "run.steps",
    "run.save_every",
    "run.keep_checkpoints",
    "run.log_every",
    "data.workers",
    "data.evaluation",
    "models.scorer",
)


def read_config(output: Path) -> Config:
    """Read a run's config; settings added since then have their defaults. ValueError if none."""
    path = output / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"run: {output} is not the folder of a run, it has no {CONFIG_FILE}.")
    return build_dataclass(Config, json.loads(path.read_text("utf-8")))


def write_config(output: Path, config: Config) -> None:
    """Write the run's config, or check it against the one that the run was started with.

    Raises ValueError naming a setting that differs and may not.
    """
    output.mkdir(parents=True, exist_ok=True)
    remove_partial_checkpoints(output)
    if list_checkpoints(output) and (output / CONFIG_FILE).is_file():
        _check_unchanged(output, config)
    elif (output / CHECKPOINTS).is_dir():
        shutil.rmtree(output / CHECKPOINTS)
    (output / CONFIG_FILE).write_text(json.dumps(config.as_dict(), indent=1), "utf-8")


def _check_unchanged(output: Path, config: Config) -> None:
    before = read_config(output).as_dict()
    for section, settings in config.as_dict().items():
        for name, value in settings.items():
            changeable = section in CHANGEABLE or f"{section}.{name}" in CHANGEABLE
            if value != before[section][name] and not changeable:
                raise ValueError(
                    f"{section}.{name} is {value!r}, but the run in {output} was started with "
                    f"{before[section][name]!r}. Set run.output to another folder, or restore the "
                    "old value to resume."
                )


def list_checkpoints(output: Path) -> list[Path]:
    """Return the run's complete checkpoints, the oldest first."""
    return sorted((output / CHECKPOINTS).glob("step-????????"))


def find_checkpoint(output: Path, step: int | None) -> Path:
    """Return the checkpoint of a step, None for the last one; ValueError if there is none."""
    checkpoints = list_checkpoints(output)
    if step is not None:
        checkpoints = [c for c in checkpoints if checkpoint_step(c) == step]
    if not checkpoints:
        of_step = "" if step is None else f" of step {step}"
        raise ValueError(f"run: there is no checkpoint{of_step} in {output}.")
    return checkpoints[-1]


def checkpoint_step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def partial_checkpoint(output: Path, step: int) -> Path:
    """Return the folder in which a checkpoint is written until it is complete."""
    return output / CHECKPOINTS / f"part-{step:08d}"


def complete_checkpoint(output: Path, step: int, keep: int) -> None:
    """Rename a fully written checkpoint to its final name; keep only the last `keep`."""
    checkpoint = output / CHECKPOINTS / f"step-{step:08d}"
    shutil.rmtree(checkpoint, ignore_errors=True)
    partial_checkpoint(output, step).rename(checkpoint)
    for old in list_checkpoints(output)[:-keep]:
        shutil.rmtree(old)


def remove_partial_checkpoints(output: Path) -> None:
    """Remove the checkpoints of processes that died while writing them."""
    for folder in (output / CHECKPOINTS).glob("part-*"):
        shutil.rmtree(folder)
