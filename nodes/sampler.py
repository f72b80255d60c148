"""ID-Patch Sampler: tokens, ControlNet and sampling in one node, with a boundary at a step."""

from typing import Any

import comfy.controlnet
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import LATENT_SCALE, Hint
from ..idpatch_core.injection import (
    MAX_TOKEN_STRENGTH,
    Conditioning,
    first_injection_step,
    inject_both,
    injection_percent,
    injection_sigma,
    split_at,
)
from ..idpatch_core.projection import IDPatches, tag_tokens
from ..idpatch_core.schedule import reference_sigmas, start_noise_scale
from . import sockets
from .conditioning import ID_PATCHES_TIP, INJECTION_RATIO_TIP, TOKEN_STRENGTH_TIP, check_people
from .controlnet import GUIDE_PATCHES_TIP, apply_control_net, check_control_net
from .schema import Schema

REFERENCE = "reference"


def check_model(model: comfy.model_patcher.ModelPatcher) -> None:
    """Raise a ValueError unless this is an SDXL model."""
    if not isinstance(model.model, comfy.model_base.SDXL):
        raise ValueError(
            f"model: expected an SDXL model, got {type(model.model).__name__}. "
            "ID-Patch was trained for SDXL: load an SDXL checkpoint."
        )


def make_latent(id_hint: Hint, latent_image: dict | None) -> dict:
    """Return an empty latent of the hint's size, or the given one if that fits."""
    height, width = id_hint.height // LATENT_SCALE, id_hint.width // LATENT_SCALE
    if latent_image is None:
        empty = torch.zeros(
            [1, 4, height, width], device=comfy.model_management.intermediate_device()
        )
        return {"samples": empty}
    given = latent_image["samples"].shape
    if tuple(given[-2:]) != (height, width):
        raise ValueError(
            f"latent_image: it is for an image of {given[-1] * LATENT_SCALE}x"
            f"{given[-2] * LATENT_SCALE} pixels, the hint is {id_hint.width}x{id_hint.height}. "
            "Give the latent and the Patch Placer the same size."
        )
    return latent_image


def compute_sigmas(
    model: comfy.model_patcher.ModelPatcher,
    sampler_name: str,
    scheduler: str,
    steps: int,
    denoise: float,
) -> Tensor:
    """Return the sigmas of the steps to run, cut for `denoise` as ComfyUI's KSampler does."""
    if denoise <= 0:
        return torch.FloatTensor([])
    if scheduler != REFERENCE:
        return comfy.samplers.KSampler(
            model, steps, model.load_device, sampler_name, scheduler, denoise, model.model_options
        ).sigmas
    sampling: Any = model.get_model_object("model_sampling")
    total = steps if denoise > 0.9999 else int(steps / denoise)
    return reference_sigmas(sampling.sigmas, total)[-(steps + 1) :]


class IDPatchSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchSampler",
            display_name="ID-Patch Sampler",
            category=sockets.CATEGORY,
            search_aliases=["group photo", "multi person", "multiple people"],
            advanced=("denoise", "token_strength", "guide_patches"),
            description="Samples an image's latent in which each person is at their placement.",
            inputs=[
                io.Model.Input("model", tooltip="An SDXL model, with or without LoRAs."),
                io.Conditioning.Input("positive", tooltip="What to show, encoded by SDXL's CLIP."),
                io.Conditioning.Input("negative", tooltip="What to avoid, encoded by SDXL's CLIP."),
                io.ControlNet.Input("control_net", tooltip="The SDXL ControlNet of ID-Patch."),
                sockets.Patches.Input("id_patches", tooltip=ID_PATCHES_TIP),
                sockets.Hint.Input("id_hint", tooltip="The condition image of the Patch Placer."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The seed of the start noise; the same seed gives the same image.",
                ),
                io.Int.Input(
                    "steps",
                    default=50,
                    min=1,
                    max=1000,
                    tooltip="How many denoising steps to run; the reference uses 50.",
                ),
                io.Float.Input(
                    "cfg",
                    default=5.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="How closely to follow the prompt; the reference uses 5.5.",
                ),
                io.Combo.Input(
                    "sampler_name",
                    options=comfy.samplers.KSampler.SAMPLERS,
                    default="euler",
                    tooltip="The sampling algorithm; the reference uses euler.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=[REFERENCE, *comfy.samplers.KSampler.SCHEDULERS],
                    default=REFERENCE,
                    tooltip="How the noise levels are spaced. 'reference' is the schedule of the "
                    "released pipeline, with its stronger start noise; the others are ComfyUI's.",
                ),
                io.Float.Input(
                    "injection_ratio",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip=INJECTION_RATIO_TIP + " This node counts it in steps.",
                ),
                io.Float.Input(
                    "control_strength",
                    default=0.8,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How strongly the ControlNet acts; the reference uses 0.8.",
                ),
                io.Latent.Input(
                    "latent_image",
                    optional=True,
                    tooltip="A latent of the hint's size, for a batch or to start from an image. "
                    "Without it an empty latent of the right size is used.",
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="How much of the latent to replace; 1 starts from noise alone.",
                ),
                io.Float.Input(
                    "token_strength",
                    default=1.0,
                    min=0.0,
                    max=MAX_TOKEN_STRENGTH,
                    step=0.01,
                    optional=True,
                    tooltip=TOKEN_STRENGTH_TIP,
                ),
                io.Boolean.Input(
                    "guide_patches", default=False, optional=True, tooltip=GUIDE_PATCHES_TIP
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="LATENT", tooltip="The finished latent, for a VAE Decode."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: comfy.model_patcher.ModelPatcher,
        positive: Conditioning,
        negative: Conditioning,
        control_net: comfy.controlnet.ControlNet,
        id_patches: IDPatches,
        id_hint: Hint,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        injection_ratio: float,
        control_strength: float,
        latent_image: dict | None = None,
        denoise: float = 1.0,
        token_strength: float = 1.0,
        guide_patches: bool = False,
    ) -> io.NodeOutput:
        check_model(model)
        check_control_net(control_net, id_patches.tokens.shape[-1])
        check_people(id_patches, id_hint)
        id_patches = tag_tokens(id_patches, id_hint.points, id_hint.width, id_hint.height)
        latent = make_latent(id_hint, latent_image)
        sigmas = compute_sigmas(model, sampler_name, scheduler, steps, denoise)

        sampling: Any = model.get_model_object("model_sampling")
        boundary = injection_sigma(
            sigmas.tolist(),
            first_injection_step(max(len(sigmas) - 1, 0), injection_ratio),
            float(sampling.percent_to_sigma(injection_percent(injection_ratio))),
        )
        split = split_at(boundary, sampling.percent_to_sigma)
        positive, negative = inject_both(positive, negative, id_patches, token_strength, split)
        positive, negative = apply_control_net(
            positive, negative, control_net, id_hint, control_strength, 0.0, 1.0, guide_patches
        )

        samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
        noise = comfy.sample.prepare_noise(samples, seed, latent.get("batch_index"))
        if scheduler == REFERENCE and denoise > 0.9999:
            noise = noise * _start_noise_scale(float(sigmas[0]), float(sampling.sigma_max))
        samples = comfy.sample.sample_custom(
            model,
            noise,
            cfg,
            comfy.samplers.sampler_object(sampler_name),
            sigmas,
            positive,
            negative,
            samples,
            noise_mask=latent.get("noise_mask"),
            callback=latent_preview.prepare_callback(model, len(sigmas) - 1),
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=seed,
        )
        return io.NodeOutput({**latent, "samples": samples})


def _start_noise_scale(sigma: float, sigma_max: float) -> float:
    # From the model's largest sigma on, ComfyUI scales the start noise itself.
    return 1.0 if sigma >= sigma_max * (1 - 1e-5) else start_noise_scale(sigma)
