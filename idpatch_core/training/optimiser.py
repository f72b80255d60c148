"""The optimiser and its learning rate."""

import math
from functools import partial
from typing import Any

import torch
from torch import nn

from .config import OptimiserConfig
from .trainable import is_projection


def make_optimiser(networks: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Make AdamW for the trainable parameters; the projections have their own learning rate.

    With `eight_bit` its moments are stored in 8 bits, by torchao, whose optimiser also takes FSDP's
    sharded weights. Raises ValueError if torchao is not installed.
    """
    # Fused: one kernel instead of ten passes over all weights.
    kind: Any = partial(torch.optim.AdamW, fused=True)
    if config.eight_bit:
        try:
            from torchao.optim import AdamW8bit as kind  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ValueError(
                f"optimiser.eight_bit needs torchao, which cannot be used ({error}). Run `pip "
                "install torchao`, or set it to false."
            ) from None
    trainable = [(n, p) for n, p in networks.named_parameters() if p.requires_grad]
    projections = [p for n, p in trainable if is_projection(n)]
    others = [p for n, p in trainable if not is_projection(n)]
    rates = config.projection_learning_rate or config.learning_rate, config.learning_rate
    groups = [
        {"params": parameters, "base_rate": rate, "lr": rate}
        for parameters, rate in zip((projections, others), rates, strict=True)
        if parameters
    ]
    return kind(groups, betas=config.betas, weight_decay=config.weight_decay)


def set_learning_rate(optimiser: Any, factor: float) -> None:
    """Set each group's learning rate to its base rate times the factor."""
    for group in optimiser.param_groups:
        rate = factor * group["base_rate"]
        if isinstance(group["lr"], torch.Tensor):  # torchao compiles the step with it
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def learning_rate_factor(step: int, steps: int, config: OptimiserConfig) -> float:
    """Return the factor on the learning rate in a step, counted from 0."""
    warmup = min((step + 1) / config.warmup_steps, 1.0) if config.warmup_steps else 1.0
    if config.schedule == "constant":
        return warmup
    return warmup * (1 + math.cos(math.pi * step / steps)) / 2
