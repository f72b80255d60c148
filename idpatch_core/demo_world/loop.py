"""The training loop of the world's own networks; random numbers depend on the step alone."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..training.ema import EMA
from .files import save_tensors

LossTerms = dict[str, Tensor]
SAVE_EVERY = 500  # steps
SAVE_AFTER = 300  # seconds, if that is sooner


def fit(
    network: nn.Module,
    compute_loss: Callable[[int], LossTerms],
    file: Path,
    steps: int,
    rate: float,
    decay: float = 0.0,
    precision: str = "no",
) -> None:
    """Train the parameters that require gradients with AdamW; save the network in `file`.

    `compute_loss(step)` returns the terms to be summed. It must draw its random numbers from the
    step alone: then an interrupted and resumed run ends with the same weights. `decay` is that of
    the moving average that the network ends with, 0 for none. An existing file is loaded instead.
    """
    from safetensors.torch import load_file
    from tqdm import tqdm

    if file.is_file():
        network.load_state_dict(load_file(file))
        network.eval()
        return
    weights = {name: p for name, p in network.named_parameters() if p.requires_grad}
    settings = {"lr": rate, "weight_decay": 0.01, "betas": (0.9, 0.99), "fused": True}
    optimiser = torch.optim.AdamW(weights.values(), **settings)
    ema = EMA(weights, decay)
    file.parent.mkdir(parents=True, exist_ok=True)
    checkpoint, step = file.with_suffix(".part"), 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        ema.shadow, step = state["ema"], state["step"]
    network.train()
    bar = tqdm(total=steps, initial=step, desc=file.stem)
    averages: dict[str, float] = {}
    saved = time.monotonic()
    while step < steps:
        for group in optimiser.param_groups:
            group["lr"] = rate * _rate_factor(step, steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            terms = compute_loss(step)
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimiser.step()
        step += 1
        ema.update(weights, step)
        bar.update()
        for name, value in terms.items():
            current = float(value.detach())
            averages[name] = 0.98 * averages.get(name, current) + 0.02 * current
        if step % 20 == 0:
            bar.set_postfix({name: f"{value:.4f}" for name, value in averages.items()})
        due = step % SAVE_EVERY == 0 or time.monotonic() - saved > SAVE_AFTER
        if due and step < steps:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            temporary = checkpoint.with_suffix(".writing")
            torch.save({**state, "ema": ema.shadow, "step": step}, temporary)
            temporary.replace(checkpoint)
            saved = time.monotonic()
    bar.close()
    if decay:
        network.load_state_dict(ema.shadow, strict=False)
    network.eval()
    save_tensors({name: t.contiguous() for name, t in network.state_dict().items()}, file)
    checkpoint.unlink(missing_ok=True)


def _rate_factor(step: int, steps: int) -> float:
    """Return the factor of the learning rate: linear warm-up, then a cosine down to 2 %."""
    warmup = min(200, steps // 10 + 1)
    factor = min((step + 1) / warmup, 1.0) * (1 + math.cos(math.pi * step / steps)) / 2
    return max(factor, 0.02)
