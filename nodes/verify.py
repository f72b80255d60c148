"""Verify Identities: is each person at their placement, and do they resemble their reference?"""

import json
import logging
from collections.abc import Sequence

import comfy.utils
import numpy as np
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import Hint
from ..idpatch_core.identity import Identity
from ..idpatch_core.layout import Point, has_same_aspect, rescale_points
from ..idpatch_core.verification import metrics
from ..idpatch_core.verification.annotate import annotate_record
from ..idpatch_core.verification.scorer import Scorer
from ..idpatch_core.verification.tally import pooled
from ..idpatch_core.verification.verdict import Verdict, to_json, to_text, verify
from . import sockets
from .faces import read_pictures
from .images import save_temporary
from .scorer import FaceScorer


def reference_embeddings(identities: Sequence[Identity], scorer: Scorer) -> np.ndarray:
    """Return the scorer's embeddings (F, D) of the people's crops."""
    if not identities:
        raise ValueError("identities: there is nobody in it. Encode at least one person.")
    without = [person.name for person in identities if person.crop is None]
    if without:
        raise ValueError(
            f"identities: {', '.join(without)} came without a face crop, which another network "
            "needs to score. Encode the person from a photograph with the Face Encoder."
        )
    crops = [person.crop.cpu().numpy() for person in identities if person.crop is not None]
    return scorer.embed(np.stack(crops))


def places_in(hint: Hint, names: Sequence[str], width: int, height: int) -> list[Point | None]:
    """Return the hint's points in a picture of this size."""
    if len(hint.points) != len(names):
        raise ValueError(
            f"id_hint: it places {len(hint.points)} people, identities holds {len(names)} "
            f"({', '.join(names)}). Connect the Patch Placer of the same people."
        )
    if not has_same_aspect((width, height), (hint.width, hint.height)):
        raise ValueError(
            f"image: it is {width}x{height}, the hint {hint.width}x{hint.height}. Places can "
            "follow a picture that was enlarged, but not one that was cropped."
        )
    return rescale_points(hint.points, (hint.width, hint.height), (width, height))


def report_text(verdicts: Sequence[Verdict], scorer: FaceScorer, warnings: Sequence[str]) -> str:
    """Return what every picture shows, as lines to read."""
    several = len(verdicts) > 1
    parts = [
        to_text(verdict, f"Picture {number}" if several else "Picture")
        for number, verdict in enumerate(verdicts, 1)
    ]
    right = sum(verdict.all_right for verdict in verdicts)
    if several:
        parts.insert(0, f"{right} of {len(verdicts)} pictures have everybody at their place.")
    parts.append(f"Scored by {scorer.scorer.name}; faces found by {scorer.detector_name}.")
    return "\n".join([*parts, *(f"Warning: {warning}" for warning in warnings)])


class IDPatchVerify(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchVerify",
            display_name="Verify Identities",
            category=sockets.CATEGORY,
            description="Looks whether everybody stands at their place, and is who they should be.",
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="The finished picture, or a batch of them."),
                sockets.Identities.Input(
                    "identities", tooltip="The people who were to be shown, with their crops."
                ),
                sockets.Hint.Input(
                    "id_hint", tooltip="Where they were to stand, from the Patch Placer."
                ),
                sockets.Scorer.Input(
                    "scorer", tooltip="The face recognition that judges, from Load Scorer."
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="The findings as lines to read."),
                io.String.Output(
                    display_name="report_json",
                    tooltip="The findings as JSON, for Pick Best and Save Report.",
                ),
                io.Image.Output(
                    display_name="annotated",
                    tooltip="The pictures with a box, name, score and tick or cross for everybody.",
                ),
                io.Float.Output(
                    display_name="accuracy",
                    tooltip="The share of places where the intended person stands, from 0 to 1.",
                ),
                io.Boolean.Output(
                    display_name="all_right",
                    tooltip="Whether everybody stands at their place in every picture.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, image: Tensor, identities: list[Identity], id_hint: Hint, scorer: FaceScorer
    ) -> io.NodeOutput:
        names = [person.name for person in identities]
        references = reference_embeddings(identities, scorer.scorer)
        pictures = read_pictures(image)
        height, width = pictures[0].shape[:2]
        points = places_in(id_hint, names, width, height)
        warnings = [scorer.warning] if scorer.warning else []
        if list(id_hint.names) != names:
            warnings.append(
                f"the hint was made for {', '.join(id_hint.names)}, the identities are "
                f"{', '.join(names)}."
            )
        for warning in warnings:
            logging.warning("[ID-Patch] Verify Identities: %s", warning)

        verdicts, content, annotated, previews = [], [], [], []
        progress = comfy.utils.ProgressBar(len(pictures))
        for picture in pictures:
            verdict = verify(
                picture, names, references, points, scorer.detector.detect, scorer.scorer
            )
            verdicts.append(verdict)
            content.append(to_json(verdict))
            drawn = picture.copy()
            annotate_record(drawn, content[-1])
            annotated.append(torch.from_numpy(drawn).to(torch.float32).div_(255))
            previews.append(save_temporary("verdict", drawn, ".jpg"))
            progress.update(1)

        association = pooled(
            metrics.association_accuracy(verdict.assignment) for verdict in verdicts
        )
        accuracy = association.value if association.count else 0.0
        all_right = bool(association.count) and all(verdict.all_right for verdict in verdicts)
        text = report_text(verdicts, scorer, warnings)
        findings = {
            "version": 1,
            "scorer": scorer.scorer.name,
            "flatters": scorer.scorer.flatters,
            "detector": scorer.detector_name,
            "threshold": scorer.scorer.threshold,
            "accuracy": accuracy,
            "all_right": all_right,
            "warnings": warnings,
            "pictures": content,
        }
        return io.NodeOutput(
            text,
            json.dumps(findings, ensure_ascii=False),
            torch.stack(annotated) if len(annotated) > 1 else annotated[0][None],
            accuracy,
            all_right,
            ui={"images": previews, "animated": (False,), "text": (text,)},
        )
