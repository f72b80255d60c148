"""From which step on the networks see the ID tokens, and how these are joined to the text."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Options = dict[str, Any]
Conditioning = list[list[Any]]  # [text (B, N, C), options] each
Split = Callable[[Options], tuple[Options | None, Options | None]]

# A boundary that meets a step exactly belongs to the step after it, as `i < steps * (1 - ratio)`
# says; this share of the schedule is far above rounding and far below the distance of two steps.
EARLIER = 1e-5

INJECTED = "idpatch_people"  # marks an entry that carries ID tokens, with the number of people


def first_injection_step(steps: int, injection_ratio: float) -> int:
    """Return the first step (0-based) that sees the ID tokens; `steps` if none does.

    Source: `pipeline_idpatch_sd_xl.py` of the reference, with its own float arithmetic.
    """
    return next((i for i in range(steps) if not i < steps * (1 - injection_ratio)), steps)


def injection_percent(injection_ratio: float) -> float:
    """Return the share of the noise schedule, 0 to 1, after which the ID tokens are seen."""
    if injection_ratio >= 1:
        return 0.0
    if injection_ratio <= 0:
        return 1.0
    return max(1 - injection_ratio - EARLIER, 0.0)


def injection_sigma(sigmas: Sequence[float], first: int, preferred: float) -> float:
    """Return a sigma between the steps `first - 1` and `first` of a descending schedule.

    `preferred` is taken if it lies there, so that routes which agree on the steps agree on the
    samplers' evaluations between two steps as well. Infinity means all steps, 0 none.
    """
    if first == 0:
        return math.inf
    if first >= len(sigmas) - 1:
        return 0.0
    above, below = sigmas[first - 1], sigmas[first]
    return preferred if below < preferred < above else (above + below) / 2


def join_tokens(text: Tensor, tokens: Tensor) -> Tensor:
    """Append the ID tokens (F, T, C) of all people, in order, to the text tokens (B, N, C)."""
    flat = tokens.reshape(1, -1, tokens.shape[-1]).to(text)  # (1, F*T, C)
    return torch.cat([text, flat.expand(text.shape[0], -1, -1)], dim=1)  # (B, N + F*T, C)


def strengthen(tokens: Tensor, zero_tokens: Tensor, strengths: Sequence[float]) -> Tensor:
    """Scale each person's ID tokens (F, T, C) away from the zero-vector tokens.

    A strength of 0 shows nobody, 1 the person as projected (bit for bit), more exaggerates.
    """
    scaled = tokens.clone()
    for person, strength in enumerate(strengths):
        if strength != 1:
            scaled[person] = torch.lerp(zero_tokens[person], tokens[person], strength)
    return scaled


def split_by_percent(boundary: float) -> Split:
    """Split an entry's `start_percent` to `end_percent` at a share of the noise schedule."""

    def split(options: Options) -> tuple[Options | None, Options | None]:
        start, end = options.get("start_percent", 0.0), options.get("end_percent", 1.0)
        if boundary <= start:
            return None, options
        if boundary >= end:
            return options, None
        return (
            {**options, "start_percent": start, "end_percent": boundary},
            {**options, "start_percent": boundary, "end_percent": end},
        )

    return split


def split_by_sigma(boundary: float, percent_to_sigma: Callable[[float], float]) -> Split:
    """Split an entry's part of the noise schedule at an exact sigma."""

    def split(options: Options) -> tuple[Options | None, Options | None]:
        start = max(options.get("start_percent", 0.0), options.get("clip_start_percent", 0.0))
        end = min(options.get("end_percent", 1.0), options.get("clip_end_percent", 1.0))
        high, low = float(percent_to_sigma(start)), float(percent_to_sigma(end))
        if boundary >= high:
            return None, options
        if boundary <= low:
            return options, None
        percents = {"start_percent", "end_percent", "clip_start_percent", "clip_end_percent"}
        others = {k: v for k, v in options.items() if k not in percents}
        return (
            {**others, "timestep_start": high, "timestep_end": boundary},
            {**others, "timestep_start": boundary, "timestep_end": low},
        )

    return split


def inject(conditioning: Conditioning, tokens: Tensor, split: Split) -> Conditioning:
    """Let every entry see its text alone before the split and text with ID tokens after it.

    `tokens` (F, T, C). All else that an entry carries (pooled text, ControlNets, masks, areas,
    hooks) is kept on both sides; a separate text of the ControlNet gets the tokens as well.
    """
    out: Conditioning = []
    for text, options in conditioning:
        before, after = split(options)
        if before is not None:
            out.append([text, before])
        if after is not None:
            after = {**after, INJECTED: tokens.shape[0]}
            if after.get("cross_attn_controlnet") is not None:
                after["cross_attn_controlnet"] = join_tokens(after["cross_attn_controlnet"], tokens)
            out.append([join_tokens(text, tokens), after])
    return out
