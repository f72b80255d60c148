"""An exponential moving average of the trainable weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Keeps `shadow ← decay · shadow + (1 - decay) · weight` in float32, by the weight's name.

    In the first steps the decay is (1 + steps) / (10 + steps), so that the initial weights are soon
    forgotten (as TensorFlow's ExponentialMovingAverage with `num_updates`).
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float):
        self.decay = decay
        self.shadow = {name: w.detach().float().clone() for name, w in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], steps: int) -> None:
        """Update the average after step number `steps`, counted from 1."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, average in self.shadow.items():
            average.lerp_(weights[name].detach().float(), 1 - decay)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Replace the network's weights with the averages, and restore them at the end."""
        weights = {n: p for n, p in network.named_parameters() if n in self.shadow}
        backup = {name: weight.detach().clone() for name, weight in weights.items()}
        try:
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.copy_(self.shadow[name])
            yield
        finally:
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.copy_(backup[name])
