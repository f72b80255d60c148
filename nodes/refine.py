"""Refine Identities: samples people's heads again in a finished image, one person at a time."""

import logging

import comfy.controlnet
import comfy.model_patcher
import comfy.samplers
import comfy.sd
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import LATENT_SCALE, Hint
from ..idpatch_core.encode import parse_names
from ..idpatch_core.injection import Conditioning
from ..idpatch_core.projection import IDPatches
from ..idpatch_core.refine import (
    ALL_PEOPLE,
    IF_BETTER,
    KEEP_CHOICES,
    NAMED,
    PEOPLE_CHOICES,
    check_names_to_refine,
    choose_people,
    describe_refinements,
    is_right,
)
from . import sockets
from .conditioning import show_warnings
from .controlnet import GUIDE_PATCHES_TIP, check_control_net
from .faces import FaceModel
from .group_sampler import check_model
from .head_refiner import HeadRefiner, check_refine_sizes, make_face_check
from .head_sampler import HeadSampler, check_vae, make_progress, remove_gate
from .schema import Schema
from .scorer import LoadedScorer
from .sigmas import REFERENCE


class IDPatchRefine(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchRefine",
            display_name="Refine Identities",
            category=sockets.CATEGORY,
            search_aliases=["face detailer", "ADetailer", "fix faces", "face refine", "IDPatch"],
            advanced=("control_strength", "guide_patches"),
            description="Samples people's heads in a finished image again, enlarged and one at a "
            "time, so that small faces resemble their person more.",
            inputs=[
                io.Image.Input("image", tooltip="The finished image, or a batch of images."),
                io.Model.Input("model", tooltip="The SDXL model that made the image."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="A prompt for one person, such as `a photo of one person in a park`, "
                    "encoded by SDXL's CLIP, without ID tokens. Each head is sampled with it.",
                ),
                io.Conditioning.Input("negative", tooltip="What to avoid, without ID tokens."),
                io.Vae.Input("vae", tooltip="The VAE of the model."),
                io.ControlNet.Input("control_net", tooltip="The SDXL ControlNet of ID-Patch."),
                sockets.Patches.Input(
                    "id_patches", tooltip="The people of the image, from the ID Patch Builder."
                ),
                sockets.Hint.Input(
                    "id_hint",
                    tooltip="The people's placements, from the Patch Placer. An enlarged image of "
                    "the same aspect ratio fits as well.",
                ),
                sockets.FaceModel.Input(
                    "face_model",
                    tooltip="The face model, which finds the faces and compares them with the "
                    "people unless a scorer is connected.",
                ),
                io.Combo.Input(
                    "people",
                    options=PEOPLE_CHOICES,
                    default=ALL_PEOPLE,
                    tooltip="Whom to refine. all: each person; small_faces: whose face is narrower "
                    "than small_share; failed: who has no face or resembles another person more; "
                    "named: those in names.",
                ),
                io.String.Input(
                    "names",
                    default="",
                    tooltip="The names of the people to refine if people is named, separated by "
                    "commas.",
                ),
                io.Float.Input(
                    "small_share",
                    default=0.12,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The width of a face below which it is small, if people is "
                    "small_faces; relative to the image's shorter side.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The seed of the noise.",
                ),
                io.Int.Input(
                    "steps",
                    default=25,
                    min=1,
                    max=1000,
                    tooltip="How many denoising steps to run for each person. Half the steps of "
                    "the image suffice.",
                ),
                io.Float.Input(
                    "cfg",
                    default=5.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="How closely to follow the prompt.",
                ),
                io.Combo.Input(
                    "sampler_name",
                    options=comfy.samplers.KSampler.SAMPLERS,
                    default="euler",
                    tooltip="The sampling algorithm.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=[REFERENCE, *comfy.samplers.KSampler.SCHEDULERS],
                    default=REFERENCE,
                    tooltip="How the noise levels are spaced, as in the ID-Patch Sampler.",
                ),
                io.Float.Input(
                    "denoise",
                    default=0.8,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="How much of the head to replace. From 0.6 to 1 the identity changes; "
                    "less keeps the old face.",
                ),
                io.Int.Input(
                    "crop_size",
                    default=1024,
                    min=64,
                    max=4096,
                    step=LATENT_SCALE,
                    tooltip="The side of the enlarged crop in pixels: the size of image that the "
                    "model was trained on.",
                ),
                io.Int.Input(
                    "face_size",
                    default=256,
                    min=16,
                    max=1024,
                    tooltip="The width of the face in the enlarged crop, in pixels: that of the "
                    "faces that the model was trained on. Much larger faces resemble no one.",
                ),
                io.Combo.Input(
                    "keep",
                    options=KEEP_CHOICES,
                    default=IF_BETTER,
                    tooltip="if_better: take a new head only if its face resembles the person more "
                    "than the old one. always: take each.",
                ),
                io.Float.Input(
                    "control_strength",
                    default=0.8,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    optional=True,
                    tooltip="How strongly the ControlNet acts; the reference uses 0.8.",
                ),
                io.Boolean.Input(
                    "guide_patches", default=False, optional=True, tooltip=GUIDE_PATCHES_TIP
                ),
                sockets.Scorer.Input(
                    "scorer",
                    optional=True,
                    tooltip="A face-recognition model that compares the faces, from Load Scorer. "
                    "Without it the face model does, which also conditions.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The image with the new heads. All other pixels are the same.",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="Each person's similarity before and after, and whether the new head "
                    "was taken.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: comfy.model_patcher.ModelPatcher,
        positive: Conditioning,
        negative: Conditioning,
        vae: comfy.sd.VAE,
        control_net: comfy.controlnet.ControlNet,
        id_patches: IDPatches,
        id_hint: Hint,
        face_model: FaceModel,
        people: str,
        names: str,
        small_share: float,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        denoise: float,
        crop_size: int,
        face_size: int,
        keep: str,
        control_strength: float = 0.8,
        guide_patches: bool = False,
        scorer: LoadedScorer | None = None,
    ) -> io.NodeOutput:
        check_model(model)
        check_control_net(control_net, id_patches.tokens.shape[-1])
        check_vae(vae, model)
        check_refine_sizes(image, id_hint, crop_size, face_size)
        warnings = [id_hint.check_names(id_patches.names, "id_patches")]
        wanted = parse_names(names)
        if people == NAMED:
            check_names_to_refine(wanted, id_patches.names, id_hint.points)
        settings = HeadSampler(
            remove_gate(model),
            positive,
            negative,
            vae,
            control_net,
            seed,
            steps,
            cfg,
            sampler_name,
            scheduler,
            denoise,
            control_strength,
            guide_patches,
        )
        check = make_face_check(face_model, scorer, id_patches)
        refiner = HeadRefiner(image, id_hint, id_patches, check, settings, crop_size, face_size)

        def choose(index: int) -> list[int]:
            def looks_right(person: int) -> bool:
                return is_right(refiner.compare(refiner.images[index], index, person), person)

            side = min(refiner.width, refiner.height)
            options = (refiner.heads[index], wanted, small_share, side, looks_right)
            return choose_people(people, id_patches.names, *options)

        groups = refiner.group([choose(index) for index in range(len(image))])
        show_step = make_progress(settings.model, max(len(groups), 1) * steps)
        results = refiner.refine_groups(groups, keep, show_step)
        results.sort(key=lambda result: result.image)
        report = describe_refinements(results, len(image))
        logging.info("[ID-Patch] %s", report)
        if not results:
            warnings.append(report)
        return io.NodeOutput(
            refiner.images if results else image, report, ui=show_warnings(warnings)
        )
