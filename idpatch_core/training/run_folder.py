"""The folder of a run and its config."""

import json
from pathlib import Path

from ..journal import write_whole
from .checkpoint_folder import list_checkpoints, remove_partial_checkpoints
from .config import Config
from .config_file import build_dataclass

CONFIG_FILE = "config.json"
# Settings that may differ when a run resumes; any other would make it a different run.
CHANGEABLE = (
    "sampling",
    "run.output",
    "run.steps",
    "run.save_every",
    "run.keep_checkpoints",
    "run.log_every",
    "run.timeout_minutes",
    "data.workers",
    "data.evaluation",
    "models.scorer",
)


def read_config(output: Path) -> Config:
    """Read a run's config; settings added since then have their defaults.

    Raises ValueError if there is none, or if it cannot be read.
    """
    path = output / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"run: {output} is not the folder of a run, it has no {CONFIG_FILE}.")
    try:
        return build_dataclass(Config, json.loads(path.read_text("utf-8")))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"run: {path} cannot be read: {error} Restore the file.") from error


def write_config(output: Path, config: Config) -> None:
    """Write the run's config, or check it against the one that the run was started with.

    Raises ValueError naming a setting that differs and may not, if there are checkpoints without a
    config, or if the folder cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        remove_partial_checkpoints(output)
        if list_checkpoints(output):
            _check_unchanged(output, config)
        write_whole(output / CONFIG_FILE, json.dumps(config.as_dict(), indent=1).encode())
    except OSError as error:
        raise ValueError(f"run.output: {output} cannot be written: {error}.") from error


def _check_unchanged(output: Path, config: Config) -> None:
    if not (output / CONFIG_FILE).is_file():
        raise ValueError(
            f"run.output: {output} has checkpoints but no {CONFIG_FILE}, which says what they are "
            "of. Restore it, or set run.output to another folder."
        )
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
