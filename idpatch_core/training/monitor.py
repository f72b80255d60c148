"""Shows a run's progress: the progress bar, and TensorBoard's curves, samples and metrics."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .base_model import load_vae
from .config import Config
from .data import PreparedData
from .ema import EMA
from .export import rebuild_networks
from .networks import Networks
from .precision import autocast, cast_frozen
from .sharding import gather_tensors, is_sharded
from .trainable import named_weights
from .validate import Evaluation, evaluate, load_scorer_network, make_grid


class Monitor:
    """Collects the losses of all processes; the main process shows and writes them."""

    def __init__(self, accelerator: Any, output: Path, config: Config, step: int):
        from tqdm import tqdm

        self._accelerator, self._config = accelerator, config
        self._values: dict[str, list[Tensor]] = {}  # since the last log, by name
        self._writer: Any = None
        self._bar = tqdm(
            total=config.run.steps,
            initial=step,
            desc="training",
            disable=not accelerator.is_main_process,
        )
        if accelerator.is_main_process:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(output / "tensorboard"), purge_step=step + 1)

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
        if self._writer is not None:
            for name, value in zip(names, values, strict=True):
                self._writer.add_scalar(f"train/{name}", value, step)
            self._writer.add_scalar("train/learning_rate", learning_rate, step)
            self._bar.set_postfix({n: f"{v:.4f}" for n, v in zip(names, values, strict=True)})

    def evaluate(
        self,
        step: int,
        networks: Networks,
        trainable: list[str],
        ema: EMA | None,
        alphas: Tensor,
        prediction_type: str,
    ) -> None:
        """Sample images of the evaluation people; write their grid and metrics.

        The main process does so; sharded networks are gathered in a copy first.
        """
        config, device = self._config, self._accelerator.device
        if is_sharded(networks):
            weights = gather_tensors(ema.shadow if ema else named_weights(networks, trainable))
            ema = None
            if self._writer is not None:
                networks = rebuild_networks(weights, config)
                cast_frozen(networks, self._accelerator.mixed_precision)
                networks.to(device)
        if self._writer is not None:
            networks.eval()
            with ema.applied(networks) if ema else nullcontext(), autocast(self._accelerator):
                evaluation = evaluate(
                    networks,
                    load_vae(config.models.base).requires_grad_(False).to(device),
                    load_scorer_network(config).to(device),
                    PreparedData(config.data.evaluation),
                    alphas.to(device),
                    prediction_type,
                    config.sampling,
                )
            networks.train()
            self._write_evaluation(step, evaluation)
        self._accelerator.wait_for_everyone()

    def _write_evaluation(self, step: int, evaluation: Evaluation) -> None:
        self._writer.add_image("samples", make_grid(evaluation.images), step)
        for name, value in evaluation.metrics.items():
            self._writer.add_scalar(f"evaluation/{name}", value, step)
        self._writer.flush()
        text = ", ".join(
            f"{name} {value:.3f}"
            for name, value in evaluation.metrics.items()
            if name.startswith(("accuracy", "similarity")) and name[-1].isdigit()
        )
        self._bar.write(f"step {step}: {text}")

    def close(self) -> None:
        self._bar.close()
        if self._writer is not None:
            self._writer.close()
