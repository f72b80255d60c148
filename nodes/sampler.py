"""ID-Patch Sampler: tokens, ControlNet and sampling in one node, with a boundary at a step."""

import comfy.controlnet
import comfy.model_patcher
import comfy.samplers
from comfy_api.v0_0_2 import io

from ..idpatch_core.canvas import Hint
from ..idpatch_core.injection import MAX_TOKEN_STRENGTH, Conditioning
from ..idpatch_core.projection import IDPatches
from . import sockets
from .conditioning import (
    ID_PATCHES_TIP,
    INJECTION_RATIO_TIP,
    TOKEN_STRENGTH_TIP,
    show_warnings,
)
from .controlnet import GUIDE_PATCHES_TIP
from .group_sampler import FAST, NO_PRESET, GroupSampler, sample_group
from .schema import Schema
from .sigmas import REFERENCE


class IDPatchSampler(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchSampler",
            display_name="ID-Patch Sampler",
            category=sockets.CATEGORY,
            search_aliases=["group photo", "multi person", "multiple people"],
            advanced=(
                "denoise",
                "token_strength",
                "guide_patches",
                "control_end",
                "guidance_end",
                "reuse_tokens",
            ),
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
                    tooltip="How many denoising steps to run; the reference uses 50. Scheduler "
                    "'reference' needs at least 15.",
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
                    "released pipeline, with its stronger start noise; the others are ComfyUI's. "
                    "Few-step models (Lightning, Turbo, LCM) need sgm_uniform.",
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
                io.Float.Input(
                    "control_end",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="The share of the steps after which the ControlNet stops. The later "
                    "steps take a third less time; 1 is as the reference.",
                ),
                io.Float.Input(
                    "guidance_end",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="The share of the steps after which cfg is 1. The later steps take "
                    "half the time; 1 is as the reference.",
                ),
                io.Boolean.Input(
                    "reuse_tokens",
                    default=False,
                    optional=True,
                    tooltip="Compute the keys and values of the text and ID tokens once a run "
                    "instead of once a step. The image stays the same; it takes about 200 MB more "
                    "memory for three people.",
                ),
                io.Combo.Input(
                    "preset",
                    options=[NO_PRESET, FAST],
                    default=NO_PRESET,
                    optional=True,
                    tooltip="fast: run three quarters of the steps (at least 15), with guidance in "
                    "the first 40 % of them, in about half the time. none: run as set here.",
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
        control_end: float = 1.0,
        guidance_end: float = 1.0,
        reuse_tokens: bool = False,
        preset: str = NO_PRESET,
    ) -> io.NodeOutput:
        settings = GroupSampler(
            model,
            positive,
            negative,
            control_net,
            id_patches,
            id_hint,
            steps,
            cfg,
            sampler_name,
            scheduler,
            injection_ratio,
            control_strength,
            denoise,
            token_strength,
            guide_patches,
            control_end,
            guidance_end,
            reuse_tokens,
            preset,
        )
        sampled = sample_group(settings, seed, latent_image)
        return io.NodeOutput(sampled.latent, ui=show_warnings(sampled.warnings))
