"""Samples from the networks being trained, as the released pipeline and the nodes do."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..injection import first_injection_step
from ..schedule import OFFSET, reference_sigmas, start_noise_scale
from .config import Sampling
from .losses import EPSILON
from .networks import Condition, Networks


class Schedule(NamedTuple):
    """Noise levels (steps + 1), the last 0, and the timesteps (steps) they belong to."""

    sigmas: Tensor
    timesteps: Tensor


def reference_schedule(alphas: Tensor, steps: int) -> Schedule:
    """Return the reference's schedule for ᾱ (1000): Euler with leading spacing and offset 1."""
    table = ((1 - alphas.double()) / alphas.double()).sqrt().float()
    timesteps = torch.arange(steps).flip(0) * (len(alphas) // steps) + OFFSET
    return Schedule(reference_sigmas(table, steps), timesteps)


@torch.no_grad()
def sample(
    networks: Networks,
    shown: Condition,
    negative_text: Tensor,
    negative_pooled: Tensor,
    noise: Tensor,
    alphas: Tensor,
    kind: str,
    settings: Sampling,
) -> Tensor:
    """Return latents (B, C, h, w) in the UNet's space.

    `noise` (B, C, h, w) of unit variance; `negative_text` (N, D) and `negative_pooled` (D') of the
    empty caption. Both branches are one batch with the same condition image, but for
    `settings.guide_patches`; the negative one has the tokens of the zero vector. Until the
    injection step both see text alone. Source: `modules/pipeline_idpatch_sd_xl.py` of the
    reference, which has no `guide_patches`.
    """
    schedule = reference_schedule(alphas.cpu(), settings.steps)
    count = len(noise)
    texts = torch.cat([negative_text.expand(count, -1, -1), shown.text])
    tokens = torch.cat(
        [
            networks.tokens(torch.zeros_like(shown.token_embeddings), shown),
            networks.tokens(shown.token_embeddings, shown),
        ]
    )
    both = replace(
        shown,
        pooled=torch.cat([negative_pooled.expand(count, -1), shown.pooled]),
        time_ids=shown.time_ids.repeat(2, 1),
    )
    hint = networks.hint(shown)
    keep = shown.patch_keep * 0 if settings.guide_patches else shown.patch_keep
    hint = torch.cat([networks.hint(replace(shown, patch_keep=keep)), hint])
    first = first_injection_step(settings.steps, settings.injection_ratio)
    sigmas = schedule.sigmas.tolist()
    x = noise * (sigmas[0] * start_noise_scale(sigmas[0]))
    for i, timestep in enumerate(schedule.timesteps.to(noise.device)):
        sigma = sigmas[i]
        text = texts if i < first else torch.cat([texts, tokens], dim=1)
        scaled = (x / (sigma**2 + 1) ** 0.5).repeat(2, 1, 1, 1)
        times = timestep.expand(2 * count)
        predicted = networks.denoise(scaled, times, text, both, hint, settings.control_strength)
        negative, positive = predicted.float().chunk(2)
        guided = negative + settings.cfg * (positive - negative)
        if kind == EPSILON:
            slope = guided
        else:
            x0 = x / (sigma**2 + 1) - guided * sigma / (sigma**2 + 1) ** 0.5
            slope = (x - x0) / sigma
        x = x + slope * (sigmas[i + 1] - sigma)
    return x
