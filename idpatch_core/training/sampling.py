"""Samples from the networks in training, as the released pipeline and the nodes do."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..injection import first_injection_step
from ..schedule import OFFSET, reference_sigmas, start_noise_scale
from .config import SamplingConfig
from .losses import EPSILON
from .networks import Condition, Networks


class Schedule(NamedTuple):
    """Noise levels (steps + 1), the last 0, and the timesteps (steps) they belong to."""

    sigmas: Tensor
    timesteps: Tensor


class GuidedCondition(NamedTuple):
    """The condition of B negative and B positive branches, in this order.

    `text` (2B, N, D), `tokens` (2B, F * T, D), `hint` (2B, 3, H, W); of `condition` only `pooled`
    (2B, D') and `time_ids` (2B, 6) are used.
    """

    text: Tensor
    tokens: Tensor
    hint: Tensor
    condition: Condition


def reference_schedule(alphas: Tensor, steps: int) -> Schedule:
    """Return the reference's schedule for ᾱ (1000): Euler with leading spacing and offset 1."""
    table = ((1 - alphas.double()) / alphas.double()).sqrt().float()
    timesteps = torch.arange(steps).flip(0) * (len(alphas) // steps) + OFFSET
    return Schedule(reference_sigmas(table, steps), timesteps)


@torch.no_grad()
def sample(
    networks: Networks,
    condition: Condition,
    negative_text: Tensor,
    negative_pooled: Tensor,
    noise: Tensor,
    alphas: Tensor,
    prediction_type: str,
    config: SamplingConfig,
) -> Tensor:
    """Return latents (B, C, h, w) in the UNet's space, by Euler's method with guidance.

    `noise` (B, C, h, w) of unit variance; `negative_text` (N, D) and `negative_pooled` (D') of the
    empty caption. Up to the injection step both branches have the text alone.
    Source: `modules/pipeline_idpatch_sd_xl.py` of the reference, which has no `guide_patches`.
    """
    guided = guide_condition(
        networks, condition, negative_text, negative_pooled, config.guide_patches
    )
    schedule = reference_schedule(alphas.cpu(), config.steps)
    sigmas = schedule.sigmas.tolist()
    first = first_injection_step(config.steps, config.injection_ratio)
    x = noise * (sigmas[0] * start_noise_scale(sigmas[0]))
    for i, timestep in enumerate(schedule.timesteps.to(noise.device)):
        prediction = guided_prediction(
            networks, x, sigmas[i], timestep, guided, inject=i >= first, config=config
        )
        d = derivative(x, prediction, sigmas[i], prediction_type)
        x = x + d * (sigmas[i + 1] - sigmas[i])  # Euler's method
    return x


def guide_condition(
    networks: Networks,
    condition: Condition,
    negative_text: Tensor,
    negative_pooled: Tensor,
    guide_patches: bool,
) -> GuidedCondition:
    """Return the condition of both branches.

    The negative branch has the tokens of the zero vector, and the same condition image unless
    `guide_patches`: then its image has no patches.
    """
    count, embeddings = len(condition.text), condition.token_embeddings
    negative_tokens = networks.tokens(torch.zeros_like(embeddings), condition)
    tokens = networks.tokens(embeddings, condition)
    keep = condition.patch_keep * 0 if guide_patches else condition.patch_keep
    negative_hint = networks.hint(replace(condition, patch_keep=keep))
    return GuidedCondition(
        torch.cat([negative_text.expand(count, -1, -1), condition.text]),
        torch.cat([negative_tokens, tokens]),
        torch.cat([negative_hint, networks.hint(condition)]),
        replace(
            condition,
            pooled=torch.cat([negative_pooled.expand(count, -1), condition.pooled]),
            time_ids=condition.time_ids.repeat(2, 1),
        ),
    )


def guided_prediction(
    networks: Networks,
    x: Tensor,
    sigma: float,
    timestep: Tensor,
    guided: GuidedCondition,
    inject: bool,
    config: SamplingConfig,
) -> Tensor:
    """Return the classifier-free guided prediction, negative + cfg · (positive - negative).

    `inject` appends the ID tokens to the text. Source: Ho and Salimans, arXiv 2207.12598, eq. 6.
    """
    text = torch.cat([guided.text, guided.tokens], dim=1) if inject else guided.text
    scaled = (x / (sigma**2 + 1) ** 0.5).repeat(2, 1, 1, 1)
    timesteps = timestep.expand(len(scaled))
    prediction = networks.denoise(
        scaled, timesteps, text, guided.condition, guided.hint, config.control_strength
    )
    negative, positive = prediction.float().chunk(2)
    return negative + config.cfg * (positive - negative)


def derivative(x: Tensor, prediction: Tensor, sigma: float, prediction_type: str) -> Tensor:
    """Return the ODE's derivative by sigma, (x - x0) / sigma, which equals ε.

    For v, x0 = x / (sigma² + 1) - v · sigma / √(sigma² + 1).
    Source: Karras et al., arXiv 2206.00364, eq. 1 and 3.
    """
    if prediction_type == EPSILON:
        return prediction
    x0 = x / (sigma**2 + 1) - prediction * sigma / (sigma**2 + 1) ** 0.5
    return (x - x0) / sigma
