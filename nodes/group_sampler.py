"""Samples a group: each person's tokens and patch at their placement, with a boundary at a step."""

from typing import Any, NamedTuple

import comfy.controlnet
import comfy.model_base
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
from torch import Tensor

from ..idpatch_core.canvas import Hint
from ..idpatch_core.injection import Conditioning, inject_both, split_at, warn_of_lengths
from ..idpatch_core.projection import IDPatches, keep_placed, tag_tokens
from ..idpatch_core.schedule import (
    ALL,
    find_percent,
    shorten_run,
    warn_of_few_steps,
    warn_of_guidance,
    warn_of_guided_patches,
)
from .controlnet import apply_control_net, check_control_net
from .guidance import end_guidance
from .head_sampler import ShowStep, make_callback
from .latent_cache import recall_latent
from .latents import make_latent
from .sigmas import (
    REFERENCE,
    compute_sigmas,
    find_boundary,
    find_end,
    scale_reference_noise,
)
from .token_projections import explain_no_reuse, reuse_projections

NO_PRESET, FAST = "none", "fast"


def check_model(model: comfy.model_patcher.ModelPatcher) -> None:
    """Raise a ValueError unless this is an SDXL model."""
    if not isinstance(model.model, comfy.model_base.SDXL):
        raise ValueError(
            f"model: expected an SDXL model, got {type(model.model).__name__}. "
            "ID-Patch was trained for SDXL: load an SDXL checkpoint."
        )


class GroupSampler(NamedTuple):
    """The networks, people and settings with which a group is sampled."""

    model: comfy.model_patcher.ModelPatcher
    positive: Conditioning
    negative: Conditioning
    control_net: comfy.controlnet.ControlNet
    id_patches: IDPatches
    id_hint: Hint
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    injection_ratio: float
    control_strength: float
    denoise: float = 1.0
    token_strength: float = 1.0
    guide_patches: bool = False
    control_end: float = 1.0
    guidance_end: float = 1.0
    reuse_tokens: bool = False
    preset: str = NO_PRESET


class SampledGroup(NamedTuple):
    """A finished latent, and the warnings for the user, of which some may be empty."""

    latent: dict[str, Any]
    warnings: list[str]


def apply_preset(settings: GroupSampler) -> GroupSampler:
    """Return the settings with the steps and the end of the guidance of their preset."""
    if settings.preset != FAST:
        return settings
    steps, guidance_end = shorten_run(settings.steps, settings.guidance_end)
    return settings._replace(steps=steps, guidance_end=guidance_end, preset=NO_PRESET)


def sample_group(
    settings: GroupSampler,
    seed: int,
    latent_image: dict[str, Any] | None = None,
    show_step: ShowStep | None = None,
) -> SampledGroup:
    """Sample a latent of the hint's size, or from the given one.

    Without `show_step`, which each step calls, the steps have a progress bar of their own. Raises
    ValueError if the inputs do not fit each other.
    """
    settings = apply_preset(settings)
    model, hint, denoise = settings.model, settings.id_hint, settings.denoise
    check_model(model)
    check_control_net(settings.control_net, settings.id_patches.tokens.shape[-1])
    warnings = [hint.check_names(settings.id_patches.names, "id_patches")]
    id_patches = tag_tokens(settings.id_patches, hint.points, hint.width, hint.height)
    id_patches = keep_placed(id_patches, hint.points)
    latent_format: Any = model.get_model_object("latent_format")
    latent = make_latent(hint, latent_image, latent_format.latent_channels)
    if denoise <= 0:
        return SampledGroup(latent, warnings)

    sampling: Any = model.get_model_object("model_sampling")
    how = settings.sampler_name, settings.scheduler, settings.steps, denoise
    sigmas = compute_sigmas(model, *how)
    boundary = find_boundary(sigmas, settings.injection_ratio, sampling)
    split = split_at(boundary, sampling.percent_to_sigma)
    texts = settings.positive, settings.negative
    if id_patches.people:
        texts = inject_both(*texts, id_patches, settings.token_strength, split)
    if settings.cfg != 1 and not settings.guide_patches:
        warnings.append(warn_of_lengths(*texts))
    warnings.append(warn_of_guided_patches(settings.cfg, settings.guide_patches))
    strength = settings.control_strength if settings.control_end else 0.0
    end = find_percent(find_end(sigmas, settings.control_end), sampling.percent_to_sigma)
    control = strength, 0.0, end, settings.guide_patches
    # All that acts on the latent.
    source = (
        (model, settings.control_net),
        (*texts, hint.image, hint.base, latent),
        (seed, settings.cfg, *how, sigmas),
        (*control, settings.guidance_end),
    )
    positive, negative = apply_control_net(*texts, settings.control_net, hint, *control)
    networks = (
        [model.model.diffusion_model, settings.control_net.control_model]
        if settings.reuse_tokens
        else []
    )
    if networks and (reason := explain_no_reuse(model, (positive, negative))):
        networks = []
        warnings.append(f"reuse_tokens: it has no effect, since {reason}.")
    if settings.guidance_end < 1:
        model = end_guidance(model, find_end(sigmas, settings.guidance_end))

    sampler = comfy.samplers.sampler_object(settings.sampler_name)
    noise: Any = comfy.sample.prepare_noise(latent["samples"], seed, latent.get("batch_index"))
    if denoise <= ALL:
        sigmas = sigmas[-(settings.steps + 1) :]
    elif settings.scheduler == REFERENCE:
        warnings.append(warn_of_few_steps(settings.steps, len(sampling.sigmas)))
        sampler = scale_reference_noise(sampler, sigmas, noise, sampling)
    else:
        warnings.append(warn_of_guidance(settings.steps, settings.cfg))

    def sample() -> Tensor:
        callback = (
            latent_preview.prepare_callback(model, len(sigmas) - 1)
            if show_step is None
            else make_callback(show_step)
        )
        with reuse_projections(networks):
            return comfy.sample.sample_custom(
                model,
                noise,
                settings.cfg,
                sampler,
                sigmas,
                positive,
                negative,
                latent["samples"],
                noise_mask=latent.get("noise_mask"),
                callback=callback,
                disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
                seed=seed,
            )

    people = settings.id_patches
    samples = recall_latent(source, (*people.names, *people.phrases), sample)
    return SampledGroup({**latent, "samples": samples}, warnings)
