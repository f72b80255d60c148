import math

import pytest
import torch
from euler_scheduler import euler_scheduler

from idpatch_core.schedule import (
    count_first_steps,
    count_whole_steps,
    find_percent,
    reference_sigmas,
    start_noise_scale,
    warn_of_few_steps,
    warn_of_guidance,
    warn_of_guided_patches,
)


def sdxl_sigmas() -> torch.Tensor:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0)
    return ((1 - kept) / kept).sqrt()


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 20, 50, 333, 999, 1000])
def test_equals_diffusers(steps: int):
    expected = euler_scheduler(steps).sigmas
    torch.testing.assert_close(
        reference_sigmas(sdxl_sigmas(), steps), expected, rtol=2e-6, atol=1e-6
    )


@pytest.mark.parametrize("steps", [1, 8, 50])
def test_start_noise_equals_diffusers(steps: int):
    scheduler = euler_scheduler(steps)
    sigma = float(scheduler.sigmas[0])
    assert math.isclose(
        start_noise_scale(sigma) * sigma, float(scheduler.init_noise_sigma), rel_tol=1e-6
    )


@pytest.mark.parametrize("steps", [0, 1001])
def test_number_of_steps_is_checked(steps: int):
    with pytest.raises(ValueError, match=f"steps: {steps} is out of range"):
        reference_sigmas(sdxl_sigmas(), steps)


def test_denoise_runs_the_end_of_a_longer_schedule():
    counts = [count_whole_steps(20, denoise, "normal", 1000) for denoise in (1, 0.9, 0.5, 0.35)]
    assert counts == [20, 22, 40, 57]
    assert count_whole_steps(50, 0.05, "reference", 1000) == 1000


@pytest.mark.parametrize(
    ("steps", "denoise", "whole", "least"), [(50, 0.04, "1250", 0.05), (1000, 0.5, "2000", 1)]
)
def test_a_schedule_that_denoise_makes_too_long_is_refused(steps, denoise, whole, least):
    message = (
        f"denoise: {denoise} with {steps} steps needs a schedule of {whole} steps; scheduler "
        f"'reference' takes at most 1000. Set denoise to at least {least}"
    )
    with pytest.raises(ValueError, match=message):
        count_whole_steps(steps, denoise, "reference", 1000)
    assert count_whole_steps(steps, least, "reference", 1000) <= 1000


def test_few_steps_are_warned_of():
    assert "steps: 4 steps of scheduler 'reference' start at timestep 751" in warn_of_few_steps(
        4, 1000
    )
    assert warn_of_few_steps(14, 1000) and not warn_of_few_steps(15, 1000)


@pytest.mark.parametrize(
    ("steps", "share", "count"),
    [(10, 0.3, 3), (10, 0.31, 4), (100, 0.55, 55), (100, 0.57, 57), (4, 0, 0), (4, 1, 4)],
)
def test_a_share_of_the_steps_includes_the_step_that_it_cuts(steps, share, count):
    assert count_first_steps(steps, share) == count


def test_the_percent_of_a_sigma_is_found():
    assert find_percent(4.0, lambda percent: 10 * (1 - percent)) == pytest.approx(0.6)
    assert find_percent(0.0, lambda percent: 10 * (1 - percent)) == 1
    assert find_percent(math.inf, lambda percent: 10 * (1 - percent)) < 1e-9


def test_guidance_that_does_not_fit_is_warned_of():
    assert "cfg: 8 steps at cfg 5.5. Few-step models" in warn_of_guidance(8, 5.5)
    assert warn_of_guidance(9, 5.5) == warn_of_guidance(8, 2.0) == ""
    assert "guide_patches: it has no effect at cfg 1" in warn_of_guided_patches(1.0, True)
    assert warn_of_guided_patches(1.0, False) == warn_of_guided_patches(2.0, True) == ""
