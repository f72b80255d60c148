"""A plain training loop for the small networks: seeded by the step, so that it can go on."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

Losses = dict[str, Tensor]


def fit(
    network: nn.Module,
    loss: Callable[[int], Losses],
    file: Path,
    steps: int,
    rate: float,
    averaged: float = 0.0,
    precision: str = "no",
) -> None:
    """Train what has gradients, with AdamW on the sum of `loss(step)`; save it in `file`.

    `loss` must draw its random numbers from the step alone: then a run that was killed ends as an
    uninterrupted one. `averaged` is the decay of the moving average that the network ends with.
    Does nothing if the file is there.
    """
    from safetensors.torch import load_file, save_file
    from tqdm import tqdm

    from ..training.ema import EMA

    if file.is_file():
        network.load_state_dict(load_file(file))
        network.eval()
        return
    weights = {name: p for name, p in network.named_parameters() if p.requires_grad}
    how = {"lr": rate, "weight_decay": 0.01, "betas": (0.9, 0.99), "fused": True}
    optimiser = torch.optim.AdamW(weights.values(), **how)
    ema = EMA(weights, averaged)
    file.parent.mkdir(parents=True, exist_ok=True)
    state, step = file.with_suffix(".part"), 0
    if state.is_file():
        before = torch.load(state, weights_only=True)
        network.load_state_dict(before["network"])
        optimiser.load_state_dict(before["optimiser"])
        ema.shadow, step = before["ema"], before["step"]
    network.train()
    bar = tqdm(total=steps, initial=step, desc=file.stem)
    means: dict[str, float] = {}
    warmup = min(200, steps // 10 + 1)
    while step < steps:
        share = min((step + 1) / warmup, 1.0) * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate * max(share, 0.02)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            parts = loss(step)
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimiser.step()
        step += 1
        ema.update(weights, step)
        bar.update()
        for name, value in parts.items():
            now = float(value.detach())
            means[name] = 0.98 * means.get(name, now) + 0.02 * now
        if step % 20 == 0:
            bar.set_postfix({name: f"{value:.4f}" for name, value in means.items()})
        if step % 500 == 0 and step < steps:
            half = state.with_suffix(".writing")
            torch.save(
                {
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "ema": ema.shadow,
                    "step": step,
                },
                half,
            )
            half.replace(state)
    bar.close()
    if averaged:
        network.load_state_dict(ema.shadow, strict=False)
    network.eval()
    save_file({name: t.contiguous() for name, t in network.state_dict().items()}, file)
    state.unlink(missing_ok=True)
