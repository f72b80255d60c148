"""Shows a run's progress: the progress bar, and TensorBoard's curves, samples and metrics."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .config import Config
from .image_grid import make_grid
from .validation import Evaluation


class Monitor:
    """Collects the losses of all processes; the main process shows and writes them.

    An error in writing, such as that of a full disk, is reported and does not end the run.
    """

    def __init__(self, accelerator: Any, output: Path, config: Config, step: int):
        from tqdm import tqdm

        self._accelerator, self._config = accelerator, config
        self._values: dict[str, list[Tensor]] = {}  # since the last log, by name
        self._folder, self._writer = output / "tensorboard", None
        self._failed = False  # the last time
        self._bar = tqdm(
            total=config.run.steps,
            initial=step,
            desc="training",
            disable=not accelerator.is_main_process,
        )
        self._write(lambda writer: writer.flush(), purge_step=step + 1)

    def add(self, losses: dict[str, Tensor]) -> None:
        for name, value in losses.items():
            self._values.setdefault(name, []).append(value.detach().float())

    def log(self, step: int, learning_rate: float) -> None:
        """Advance the bar; every `log_every` steps, write the means since the last time."""
        self._bar.update()
        if step % self._config.run.log_every:
            return
        names = sorted(self._values)
        means = torch.stack([torch.stack(self._values[name]).mean() for name in names])
        self._values.clear()
        values = self._accelerator.reduce(means, "mean").tolist()
        scalars = {f"train/{name}": value for name, value in zip(names, values, strict=True)}
        scalars["train/learning_rate"] = learning_rate
        self._write(lambda writer: _add_scalars(writer, scalars, step))
        self._bar.set_postfix({n: f"{v:.4f}" for n, v in zip(names, values, strict=True)})

    def write_evaluation(self, step: int, evaluation: Evaluation | str) -> None:
        """Write the samples and their metrics, or report why there are none."""
        if isinstance(evaluation, str):
            self.report(f"step {step}: {evaluation}")
            return
        metrics = {f"evaluation/{name}": value for name, value in evaluation.metrics.items()}

        def write(writer: Any) -> None:
            writer.add_image("samples", make_grid(evaluation.images), step)
            _add_scalars(writer, metrics, step)
            writer.flush()

        self._write(write)
        text = ", ".join(
            f"{name} {value:.3f}"
            for name, value in evaluation.metrics.items()
            if name.startswith(("accuracy", "similarity")) and name[-1].isdigit()
        )
        self.report(f"step {step}: {text}")

    def report(self, text: str) -> None:
        """Print a message of the main process beside the bar."""
        if self._accelerator.is_main_process:
            self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        self._bar.close()
        self._write(lambda writer: writer.close())

    def _write(self, write: Callable[[Any], None], purge_step: int | None = None) -> None:
        """Write to TensorBoard in the main process; after an error, begin with another file."""
        if not self._accelerator.is_main_process:
            return
        try:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self._folder), purge_step=purge_step)
            write(self._writer)
            self._failed = False
        except Exception as error:
            if not self._failed:
                self.report(f"TensorBoard cannot be written, training continues: {error}")
            self._failed, self._writer = True, None


def _add_scalars(writer: Any, values: dict[str, float], step: int) -> None:
    for name, value in values.items():
        writer.add_scalar(name, value, step)
