"""Sample Until Right: samples, checks and refines until each person is right, up to a limit."""

import logging

import comfy.controlnet
import comfy.model_patcher
import comfy.samplers
import comfy.sd
import torch
from comfy_api.v0_0_2 import io

from ..idpatch_core.canvas import LATENT_SCALE, Hint
from ..idpatch_core.injection import MAX_TOKEN_STRENGTH, Conditioning
from ..idpatch_core.projection import IDPatches
from ..idpatch_core.tries import describe_images
from . import sockets
from .conditioning import INJECTION_RATIO_TIP, TOKEN_STRENGTH_TIP, show_warnings
from .controlnet import GUIDE_PATCHES_TIP
from .group_sampler import FAST, NO_PRESET, GroupSampler, check_model
from .head_sampler import check_vae, make_progress
from .right_sampler import RightSampler, prepare_group_check, prepare_heads, show_images
from .schema import Schema
from .scorer import LoadedScorer
from .sigmas import REFERENCE


class IDPatchUntilRight(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchUntilRight",
            display_name="Sample Until Right",
            category=sockets.CATEGORY,
            search_aliases=["best of", "retry", "reroll", "group photo", "multiple people"],
            has_intermediate_output=True,
            advanced=(
                "token_strength",
                "guide_patches",
                "preset",
                "refine_steps",
                "refine_denoise",
                "crop_size",
                "face_size",
            ),
            description="Samples an image, checks who is where and, where someone is missing, "
            "doubled, swapped or does not resemble themselves, refines them or samples again; "
            "stops at the first image in which each person is right.",
            inputs=[
                io.Model.Input("model", tooltip="An SDXL model, with or without a Region Gate."),
                io.Conditioning.Input("positive", tooltip="What to show, encoded by SDXL's CLIP."),
                io.Conditioning.Input("negative", tooltip="What to avoid, encoded by SDXL's CLIP."),
                io.Vae.Input("vae", tooltip="The VAE of the model."),
                io.ControlNet.Input("control_net", tooltip="The SDXL ControlNet of ID-Patch."),
                sockets.Patches.Input(
                    "id_patches", tooltip="The people of the image, from the ID Patch Builder."
                ),
                sockets.Hint.Input("id_hint", tooltip="The condition image of the Patch Placer."),
                sockets.Scorer.Input(
                    "scorer",
                    tooltip="The face-recognition model that checks the images, from Load Scorer.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The seed of the first image. Each further image takes the next "
                    "seed, which the report states.",
                ),
                io.Int.Input(
                    "steps",
                    default=50,
                    min=1,
                    max=1000,
                    tooltip="How many denoising steps to run for each image.",
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
                    tooltip="How the noise levels are spaced, as in the ID-Patch Sampler.",
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
                io.Int.Input(
                    "tries",
                    default=4,
                    min=1,
                    max=64,
                    tooltip="How many images to sample at most for each output. It stops at the "
                    "first in which each person is right; otherwise the best is the output.",
                ),
                io.Float.Input(
                    "least_similarity",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The similarity that each person's face must reach. At 0 it is "
                    "enough that the face resembles its own person more than any other.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="How many images to output. Each has tries of its own, with the "
                    "seeds that follow those of the one before.",
                ),
                io.Conditioning.Input(
                    "one_person",
                    optional=True,
                    tooltip="A prompt for one person, such as `a photo of one person in a park`. "
                    "With it, those who are wrong are refined before another image is sampled. "
                    "Without it no one is refined.",
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
                io.Combo.Input(
                    "preset",
                    options=[NO_PRESET, FAST],
                    default=NO_PRESET,
                    optional=True,
                    tooltip="fast: sample images in about half the time, as in the ID-Patch "
                    "Sampler. none: sample as set here.",
                ),
                io.Int.Input(
                    "refine_steps",
                    default=25,
                    min=1,
                    max=1000,
                    optional=True,
                    tooltip="How many denoising steps to run for each person who is refined.",
                ),
                io.Float.Input(
                    "refine_denoise",
                    default=0.8,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="How much of a head to replace, as in Refine Identities.",
                ),
                io.Int.Input(
                    "crop_size",
                    default=1024,
                    min=64,
                    max=4096,
                    step=LATENT_SCALE,
                    optional=True,
                    tooltip="The side of the enlarged crop of a head in pixels: the size of image "
                    "that the model was trained on.",
                ),
                io.Int.Input(
                    "face_size",
                    default=256,
                    min=16,
                    max=1024,
                    optional=True,
                    tooltip="The width of the face in the enlarged crop, in pixels: that of the "
                    "faces that the model was trained on.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The first image in which each person is right, otherwise the best.",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What happened: the seed and the findings of each try.",
                ),
                io.Int.Output(
                    display_name="sampled", tooltip="How many images were sampled in all."
                ),
                io.Boolean.Output(
                    display_name="all_correct",
                    tooltip="Whether each person is right in every output image.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: comfy.model_patcher.ModelPatcher,
        positive: Conditioning,
        negative: Conditioning,
        vae: comfy.sd.VAE,
        control_net: comfy.controlnet.ControlNet,
        id_patches: IDPatches,
        id_hint: Hint,
        scorer: LoadedScorer,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        injection_ratio: float,
        control_strength: float,
        tries: int,
        least_similarity: float,
        batch_size: int,
        one_person: Conditioning | None = None,
        token_strength: float = 1.0,
        guide_patches: bool = False,
        preset: str = NO_PRESET,
        refine_steps: int = 25,
        refine_denoise: float = 0.8,
        crop_size: int = 1024,
        face_size: int = 256,
    ) -> io.NodeOutput:
        check_model(model)
        check_vae(vae, model)
        networks = model, positive, negative, control_net, id_patches, id_hint
        settings = steps, cfg, sampler_name, scheduler, injection_ratio, control_strength
        how = {"token_strength": token_strength, "guide_patches": guide_patches, "preset": preset}
        group = GroupSampler(*networks, *settings, **how)
        check = prepare_group_check(group, scorer)
        heads = None
        if one_person is not None:
            sizes = refine_steps, refine_denoise, crop_size, face_size
            heads = prepare_heads(group, one_person, vae, scorer, check, *sizes)
        sampler = RightSampler(group, vae, check, heads, least_similarity, tries)
        show_step = make_progress(model, sampler.count_steps() * batch_size)
        made = sampler.sample_batch(seed, batch_size, show_step)
        report = describe_images([one.tries for one in made], tries)
        logging.info("[ID-Patch] Sample Until Right: %s", report)
        warnings = [scorer.warning, *made[0].warnings]
        return io.NodeOutput(
            torch.cat([one.image for one in made]),
            report,
            sum(one.tries[-1].number for one in made),
            all(one.is_right for one in made),
            ui={**show_images(made, tries), **show_warnings(warnings)},
        )
