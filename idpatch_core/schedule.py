"""The noise schedule of the reference: the Euler scheduler with `leading` spacing, offset 1."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

OFFSET = 1  # `steps_offset` of SDXL's scheduler config
FEW_STEPS = 15
# Lightning, Hyper and DMD2 are distilled for 1 to 8 steps without guidance.
DISTILLED_STEPS, DISTILLED_CFG = 8, 2.0
ROUNDING = 1e-6  # of a step: 0.55 of 100 steps are 55.00000000000001
HALVINGS = 40
# Measured by tests/benchmarks/early_end.py.
FAST_STEPS, FAST_GUIDANCE_END = 0.75, 0.4
ALL = 0.9999  # from this denoise on ComfyUI runs a whole schedule


def reference_sigmas(model_sigmas: Tensor, steps: int) -> Tensor:
    """Return the sigmas of the reference's schedule for `steps` steps.

    `model_sigmas` (N,) are the model's own levels in ascending order, N = 1000 for SDXL. Returns
    (steps + 1,) float32, descending, the last one 0. Source: diffusers `EulerDiscreteScheduler`
    with `timestep_spacing="leading"` and `steps_offset=1`.
    """
    levels = len(model_sigmas)
    if not 1 <= steps <= levels:
        raise ValueError(
            f"steps: {steps} is out of range; scheduler 'reference' takes 1 to {levels} steps. "
            "Choose another number of steps or another scheduler."
        )
    timesteps = np.arange(steps)[::-1] * (levels // steps) + OFFSET
    table = model_sigmas.detach().cpu().double().numpy()
    sigmas = np.interp(timesteps, np.arange(levels), table)
    return torch.from_numpy(np.append(sigmas, 0.0)).float()


def count_whole_steps(steps: int, denoise: float, scheduler: str, most: int) -> int:
    """Return the steps of the schedule of which the last `steps` run, as ComfyUI's KSampler does.

    Raises ValueError if they are more than the `most` of the scheduler.
    """
    if denoise > ALL or steps > most:
        return steps
    if steps / denoise >= most + 1:
        raise ValueError(
            f"denoise: {denoise:g} with {steps} steps needs a schedule of {steps / denoise:.0f} "
            f"steps; scheduler '{scheduler}' takes at most {most}. Set denoise to at least "
            f"{math.ceil(steps / most * 100) / 100:g} or run fewer steps."
        )
    return int(steps / denoise)


def warn_of_few_steps(steps: int, levels: int) -> str:
    """Return a warning if the reference's schedule of so few steps starts at too little noise."""
    if steps >= FEW_STEPS:
        return ""
    first = (levels // steps) * (steps - 1) + OFFSET
    return (
        f"steps: {steps} steps of scheduler 'reference' start at timestep {first} of {levels}, "
        f"where the model already expects part of the image. Run {FEW_STEPS} steps or more, or "
        "choose another scheduler, sgm_uniform for few-step models (Lightning, Turbo, LCM)."
    )


def warn_of_guidance(steps: int, cfg: float) -> str:
    """Return a warning if a whole schedule of few steps has much guidance."""
    if steps > DISTILLED_STEPS or cfg <= DISTILLED_CFG:
        return ""
    return (
        f"cfg: {steps} steps at cfg {cfg:g}. Few-step models (Lightning, Hyper, DMD2) were trained "
        "without guidance and need cfg 1; other models need more steps."
    )


def warn_of_guided_patches(cfg: float, guide_patches: bool) -> str:
    """Return a warning if `guide_patches` is on where there is no negative branch."""
    if cfg != 1 or not guide_patches:
        return ""
    return (
        "guide_patches: it has no effect at cfg 1, where no negative branch runs. Set cfg above 1 "
        "or switch guide_patches off."
    )


def start_noise_scale(sigma: float) -> float:
    """Return the ratio of the reference's start noise to sigma: sqrt(sigma² + 1) / sigma.

    Source: `init_noise_sigma` of diffusers' `EulerDiscreteScheduler` for `leading` spacing.
    """
    return math.sqrt(sigma**2 + 1) / sigma


def count_first_steps(steps: int, share: float) -> int:
    """Return how many of the first `steps` begin before this share of them, from 0 to 1."""
    return min(max(math.ceil(steps * share - ROUNDING), 0), steps)


def find_percent(sigma: float, percent_to_sigma: Callable[[float], float]) -> float:
    """Return the share of the noise schedule, 0 to 1, at which its noise has fallen to `sigma`.

    `percent_to_sigma` is that of the model, and never rises.
    """
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if percent_to_sigma(middle) > sigma else (low, middle)
    return high


def shorten_run(steps: int, guidance_end: float) -> tuple[int, float]:
    """Return the steps and the end of the guidance of preset `fast`.

    It never runs fewer steps than the reference's schedule needs, or more than were asked for.
    """
    fewer = max(count_first_steps(steps, FAST_STEPS), min(steps, FEW_STEPS))
    return fewer, min(guidance_end, FAST_GUIDANCE_END)
