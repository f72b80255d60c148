import math

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from idpatch_core.schedule import reference_sigmas, start_noise_scale


def diffusers_scheduler(steps: int) -> EulerDiscreteScheduler:
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
    )
    scheduler.set_timesteps(steps)
    return scheduler


def sdxl_sigmas() -> torch.Tensor:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0)
    return ((1 - kept) / kept).sqrt()


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 20, 50, 333, 999, 1000])
def test_equals_diffusers(steps: int):
    expected = diffusers_scheduler(steps).sigmas
    torch.testing.assert_close(
        reference_sigmas(sdxl_sigmas(), steps), expected, rtol=2e-6, atol=1e-6
    )


@pytest.mark.parametrize("steps", [1, 8, 50])
def test_start_noise_equals_diffusers(steps: int):
    scheduler = diffusers_scheduler(steps)
    sigma = float(scheduler.sigmas[0])
    assert math.isclose(
        start_noise_scale(sigma) * sigma, float(scheduler.init_noise_sigma), rel_tol=1e-6
    )


@pytest.mark.parametrize("steps", [0, 1001])
def test_number_of_steps_is_checked(steps: int):
    with pytest.raises(ValueError, match=f"steps: {steps} is out of range"):
        reference_sigmas(sdxl_sigmas(), steps)
