"""The noise schedule of the reference: the Euler scheduler with `leading` spacing, offset 1."""

import math

import numpy as np
import torch
from torch import Tensor

OFFSET = 1  # `steps_offset` of SDXL's scheduler config


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


def start_noise_scale(sigma: float) -> float:
    """Return the ratio of the reference's start noise to sigma: sqrt(sigma² + 1) / sigma.

    Source: `init_noise_sigma` of diffusers' `EulerDiscreteScheduler` for `leading` spacing.
    """
    return math.sqrt(sigma**2 + 1) / sigma
