"""The sigmas of a run, and the sigmas at which something begins or ends between two steps."""

import math
from typing import Any

import comfy.model_patcher
import comfy.samplers
from torch import Tensor

from ..idpatch_core.injection import first_injection_step, injection_percent, injection_sigma
from ..idpatch_core.schedule import (
    count_first_steps,
    count_whole_steps,
    reference_sigmas,
    start_noise_scale,
)

REFERENCE = "reference"
MOST_STEPS = 100_000  # of a whole schedule, of which `denoise` runs the end


def compute_sigmas(
    model: comfy.model_patcher.ModelPatcher,
    sampler_name: str,
    scheduler: str,
    steps: int,
    denoise: float,
) -> Tensor:
    """Return the sigmas of the whole schedule of which the last `steps` run.

    They are those of ComfyUI's KSampler at this `denoise`, before it cuts them.
    """
    sampling: Any = model.get_model_object("model_sampling")
    most = len(sampling.sigmas) if scheduler == REFERENCE else MOST_STEPS
    steps = count_whole_steps(steps, denoise, scheduler, most)
    if scheduler == REFERENCE:
        return reference_sigmas(sampling.sigmas, steps)
    return comfy.samplers.KSampler(
        model, steps, model.load_device, sampler_name, scheduler, 1.0, model.model_options
    ).sigmas


def find_boundary(sigmas: Tensor, injection_ratio: float, sampling: Any) -> float:
    """Return the sigma below which the steps of a whole schedule see the ID tokens."""
    return injection_sigma(
        sigmas.tolist(),
        first_injection_step(len(sigmas) - 1, injection_ratio),
        float(sampling.percent_to_sigma(injection_percent(injection_ratio))),
    )


def find_end(sigmas: Tensor, share: float) -> float:
    """Return the sigma below which the steps after this share of a whole schedule lie."""
    steps = len(sigmas) - 1
    return injection_sigma(sigmas.tolist(), count_first_steps(steps, share), math.nan)


def scale_start_noise(
    sampler: comfy.samplers.KSAMPLER, factor: float, noise: Tensor, sampling: Any
) -> comfy.samplers.KSAMPLER:
    """Return a sampler that starts from `factor` times the noise.

    The noise that a noise mask puts back at each step stays as it is.
    """

    def sample(model: Any, x: Tensor, sigmas: Tensor, **options: Any) -> Tensor:
        x = sampling.noise_scaling(sigmas[0], noise.to(x) * factor, model.latent_image, False)
        return sampler.sampler_function(model, x, sigmas, **options)

    return comfy.samplers.KSAMPLER(sample, sampler.extra_options, sampler.inpaint_options)


def scale_reference_noise(
    sampler: comfy.samplers.KSAMPLER, sigmas: Tensor, noise: Tensor, sampling: Any
) -> comfy.samplers.KSAMPLER:
    """Return a sampler that starts from the noise of the reference's schedule."""
    # From the model's largest sigma on, ComfyUI scales the start noise itself.
    if float(sigmas[0]) >= float(sampling.sigma_max) * (1 - 1e-5):
        return sampler
    return scale_start_noise(sampler, start_noise_scale(float(sigmas[0])), noise, sampling)
