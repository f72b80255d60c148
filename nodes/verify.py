"""Verify Identities: is each person at their placement, and do they resemble their reference?"""

import json
import logging
from collections.abc import Sequence
from typing import Any

import comfy.utils
import numpy as np
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.alignment import align_face
from ..idpatch_core.canvas import Hint
from ..idpatch_core.identity import Identity
from ..idpatch_core.images import to_float
from ..idpatch_core.verification import metrics
from ..idpatch_core.verification.annotate import annotate_record
from ..idpatch_core.verification.tally import pooled
from ..idpatch_core.verification.verdict import Verdict, verdict_to_json, verdict_to_text
from . import sockets
from .images import read_images, save_crop, save_temporary
from .people_check import prepare_check
from .schema import Schema
from .scorer import LoadedScorer


def write_report(verdicts: Sequence[Verdict], scorer: LoadedScorer, warnings: Sequence[str]) -> str:
    """Return the findings on all images as lines of text."""
    several = len(verdicts) > 1
    parts = [
        verdict_to_text(verdict, f"Image {number}" if several else "Image")
        for number, verdict in enumerate(verdicts, 1)
    ]
    if several:
        correct = sum(verdict.all_correct for verdict in verdicts)
        parts.insert(0, f"{correct} of {len(verdicts)} images show each person at their placement.")
    parts.append(f"Scored by {scorer.scorer.name}; faces found by {scorer.detector_name}.")
    return "\n".join([*parts, *(f"Warning: {warning}" for warning in warnings)])


def show_people_of(
    pixels: np.ndarray, verdict: Verdict, record: dict[str, Any], identities: Sequence[Identity]
) -> dict[str, Any]:
    """Return what the node shows of an image: each person's reference, face found, and verdict."""
    people = []
    for person, findings, face in zip(
        identities, record["people"], verdict.assignment.face_indices, strict=True
    ):
        crop = None if face is None else align_face(pixels, verdict.faces[face].keypoints)
        fields = ("name", "similarity", "correct", "verdict")
        shown = {field: findings[field] for field in fields}
        people.append({**shown, "reference": save_crop(person.crop), "face": save_crop(crop)})
    return {"all_correct": verdict.all_correct, "people": people}


class IDPatchVerify(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchVerify",
            display_name="Verify Identities",
            category=sockets.CATEGORY,
            search_aliases=["face similarity", "compare faces", "check identity", "who is who"],
            description="Checks that each person appears at their placement and matches their "
            "identity.",
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="The finished image, or a batch of images."),
                sockets.Identities.Input(
                    "identities", tooltip="The people that the image should show, with their crops."
                ),
                sockets.Hint.Input(
                    "id_hint", tooltip="The people's placements, from the Patch Placer."
                ),
                sockets.Scorer.Input(
                    "scorer", tooltip="The face-recognition model that scores, from Load Scorer."
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="The findings as text."),
                io.String.Output(
                    display_name="report_json",
                    tooltip="The findings as JSON, for Pick Best and Save Report.",
                ),
                io.Image.Output(
                    display_name="annotated",
                    tooltip="The images with a box, name, score and tick or cross for each person.",
                ),
                io.Float.Output(
                    display_name="accuracy",
                    tooltip="The share of placements where the face resembles the intended person "
                    "most, from 0 to 1.",
                ),
                io.Boolean.Output(
                    display_name="all_correct",
                    tooltip="Whether each person appears at their placement in every image.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, image: Tensor, identities: list[Identity], id_hint: Hint, scorer: LoadedScorer
    ) -> io.NodeOutput:
        names = [person.name for person in identities]
        images = read_images(image)
        height, width = images[0].shape[:2]
        check = prepare_check(identities, id_hint, scorer, width, height)
        mismatch = id_hint.check_names(names, "identities")
        warnings = [warning for warning in (scorer.warning, mismatch) if warning]
        for warning in warnings:
            logging.warning("[ID-Patch] Verify Identities: %s", warning)

        verdicts, records, annotated, previews, shown = [], [], [], [], []
        progress = comfy.utils.ProgressBar(len(images))
        for pixels in images:
            verdict = check.verify(pixels)
            verdicts.append(verdict)
            records.append(verdict_to_json(verdict))
            drawn = pixels.copy()
            annotate_record(drawn, records[-1])
            annotated.append(to_float(drawn))
            shown.append(show_people_of(pixels, verdict, records[-1], identities))
            previews.append(save_temporary("verdict", drawn, ".jpg"))
            progress.update(1)

        association = pooled(
            metrics.association_accuracy(verdict.assignment) for verdict in verdicts
        )
        accuracy = association.value if association.count else 0.0
        all_correct = bool(association.count) and all(v.all_correct for v in verdicts)
        report = write_report(verdicts, scorer, warnings)
        findings = {
            "version": 1,
            "scorer": scorer.scorer.name,
            "biased": scorer.scorer.biased,
            "detector": scorer.detector_name,
            "threshold": scorer.scorer.threshold,
            "accuracy": accuracy,
            "all_correct": all_correct,
            "warnings": warnings,
            "images": records,
        }
        return io.NodeOutput(
            report,
            json.dumps(findings, ensure_ascii=False),
            torch.stack(annotated) if len(annotated) > 1 else annotated[0][None],
            accuracy,
            all_correct,
            ui={
                "images": previews,
                "animated": (False,),
                "text": (report,),
                "idpatch_verdicts": [{"images": shown, "scorer": scorer.scorer.name}],
                "idpatch_warnings": warnings,
            },
        )
