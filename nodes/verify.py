"""Load Scorer, Verify Identities, Pick Best and Save Report: did everybody end up in place?"""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import comfy.utils
import folder_paths
import numpy as np
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import Hint
from ..idpatch_core.face_detector import YUNET, Detector, YuNet
from ..idpatch_core.identity import Identity, check_not_empty
from ..idpatch_core.images import to_float
from ..idpatch_core.layout import ASPECT_TOLERANCE, Point
from ..idpatch_core.verification import metrics
from ..idpatch_core.verification.annotate import annotate_record
from ..idpatch_core.verification.scorer import (
    ADVICE,
    CONDITIONING,
    Scorer,
    conditioning_scorer,
    find_scorers,
    load_scorer,
)
from ..idpatch_core.verification.verdict import Verdict, to_json, to_text, verify
from . import sockets
from .faces import FaceModel, encode_crops
from .folders import ID_PATCH
from .images import read_images, save_temporary

AUTOMATIC = "independent if there is one"


class FaceScorer(NamedTuple):
    """What scores faces, what finds them, and what the user should know about it."""

    scorer: Scorer
    detector: Detector
    detector_name: str
    warning: str = ""


def scorer_files() -> dict[str, Path]:
    """Return the face recognisers among the user's ONNX files, by the name in the list."""
    found = {}
    for folder in (ID_PATCH.name, "insightface"):
        for root in map(Path, folder_paths.get_folder_paths(folder)):
            for path in find_scorers([root]):
                found.setdefault(path.relative_to(root).as_posix(), path)
    return found


def choose_scorer(choice: str, face_model: FaceModel | None) -> tuple[Scorer, str]:
    """Load the scorer of this name in the list, and say what the user should know about it."""
    files = scorer_files()
    if choice == AUTOMATIC and files:
        choice = next(iter(files))
    if choice in files:
        return load_scorer(files[choice]), ""
    if choice not in (AUTOMATIC, CONDITIONING):
        raise ValueError(f"scorer: {choice} is not there any more. Press R to read the list again.")
    folder = folder_paths.get_folder_paths(ID_PATCH.name)[0]
    if face_model is None:
        raise ValueError(
            "scorer: there is no independent face recogniser, and face_model is not connected. "
            f"Put one into {folder}, or connect Load Face Model. {ADVICE}."
        )
    warning = (
        f"scored by {face_model.file}, which also conditions: this flatters. For an honest score "
        f"put an independent face recogniser into {folder}. {ADVICE}."
    )
    return conditioning_scorer(face_model.file, _embed_with(face_model)), warning


def _embed_with(face_model: FaceModel) -> Any:
    return lambda crops: encode_crops(face_model, crops).numpy()


def reference_embeddings(identities: Sequence[Identity], scorer: Scorer) -> np.ndarray:
    """Return the scorer's embeddings (F, D) of the people's crops."""
    check_not_empty("identities", identities)
    without = [person.name for person in identities if person.crop is None]
    if without:
        raise ValueError(
            f"identities: {', '.join(without)} came without a face crop, which another network "
            "needs to score. Encode the person from a photograph with the Face Encoder."
        )
    return scorer.embed(np.stack([p.crop for p in identities if p.crop is not None]))


def places_in(hint: Hint, names: Sequence[str], width: int, height: int) -> list[Point | None]:
    """Return the hint's points in a picture of this size."""
    if len(hint.points) != len(names):
        raise ValueError(
            f"id_hint: it places {len(hint.points)} people, identities holds {len(names)} "
            f"({', '.join(names)}). Connect the Patch Placer of the same people."
        )
    if abs(width * hint.height / (height * hint.width) - 1) > ASPECT_TOLERANCE:
        raise ValueError(
            f"image: it is {width}x{height}, the hint {hint.width}x{hint.height}. Places can "
            "follow a picture that was enlarged, but not one that was cropped."
        )
    return [
        point and Point(point.x * width / hint.width, point.y * height / hint.height)
        for point in hint.points
    ]


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


class IDPatchLoadScorer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchLoadScorer",
            display_name="Load Scorer",
            category=sockets.CATEGORY,
            description="Loads the face recognition that judges pictures.",
            inputs=[
                io.Combo.Input(
                    "scorer",
                    options=[AUTOMATIC, *scorer_files(), CONDITIONING],
                    default=AUTOMATIC,
                    tooltip="The face recogniser that scores: an ArcFace-type .onnx file in "
                    f"models/{ID_PATCH.name} or models/insightface. It should not be the one that "
                    "conditions, which finds its own features again and flatters; that one is "
                    "used, with a warning, where there is no other.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The similarity from which two faces count as one person, for "
                    "duplicates and coverage. 0 takes the recogniser's own.",
                ),
                sockets.FaceModel.Input(
                    "face_model",
                    optional=True,
                    tooltip="The model of Load Face Model: its detector finds the faces, and its "
                    "recognition scores if there is no other.",
                ),
            ],
            outputs=[
                sockets.Scorer.Output(
                    display_name="scorer", tooltip="The scorer, for Verify Identities."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, scorer: str, threshold: float = 0.0, **_: Any) -> str:
        files = [f"{path} {path.stat().st_mtime_ns}" for path in scorer_files().values()]
        return f"{scorer} {threshold} {files}"

    @classmethod
    def execute(
        cls, scorer: str, threshold: float = 0.0, face_model: FaceModel | None = None
    ) -> io.NodeOutput:
        chosen, warning = choose_scorer(scorer, face_model)
        if threshold > 0:
            chosen = chosen._replace(threshold=threshold)
        if face_model is None:
            return io.NodeOutput(FaceScorer(chosen, YuNet(), YUNET, warning))
        name = face_model.detector_name
        return io.NodeOutput(FaceScorer(chosen, face_model.detector, name, warning))


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
        pictures = read_images(image)
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
            annotated.append(to_float(drawn))
            previews.append(save_temporary("verdict", drawn, ".jpg"))
            progress.update(1)

        places = [metrics.association_accuracy(verdict.assignment) for verdict in verdicts]
        count = sum(tally.count for tally in places)
        accuracy = sum(tally.total for tally in places) / count if count else 0.0
        all_right = bool(count) and all(verdict.all_right for verdict in verdicts)
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


def read_scores(report_json: str) -> list[list[float]]:
    """Return each picture's scores, from the weakest person up, of a report of Verify Identities.

    Raises ValueError if this is no such report or nobody in it has a place.
    """
    try:
        pictures = json.loads(report_json)["pictures"]
        scores = [[float(score) for score in picture["scores"]] for picture in pictures]
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            "report_json: it is not a report of Verify Identities. Connect its second output."
        ) from None
    if not any(scores):
        raise ValueError(
            "report_json: nobody in it has a place, so no picture is better than another. Place "
            "the people in the Patch Placer."
        )
    return scores


class IDPatchPickBest(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchPickBest",
            display_name="Pick Best",
            category=sockets.CATEGORY,
            description="Keeps the picture of a batch whose weakest person is best.",
            inputs=[
                io.Image.Input("image", tooltip="The batch that Verify Identities judged."),
                io.String.Input(
                    "report_json",
                    force_input=True,
                    tooltip="The JSON report of Verify Identities on this batch.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The best picture."),
                io.Int.Output(display_name="index", tooltip="Its place in the batch; 0 is first."),
                io.Float.Output(
                    display_name="score",
                    tooltip="The similarity of its weakest person, -1 if someone's place is empty.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image: Tensor, report_json: str) -> io.NodeOutput:
        scores = read_scores(report_json)
        if len(scores) != len(image):
            raise ValueError(
                f"report_json: it judges {len(scores)} pictures, image holds {len(image)}. "
                "Connect the batch that Verify Identities judged."
            )
        best = max(range(len(scores)), key=lambda index: scores[index])
        return io.NodeOutput(image[best : best + 1], best, min(scores[best], default=math.nan))


class IDPatchSaveReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchSaveReport",
            display_name="Save Report",
            category=sockets.CATEGORY,
            description="Saves the findings of Verify Identities beside the pictures.",
            is_output_node=True,
            inputs=[
                io.String.Input(
                    "report", force_input=True, tooltip="The report of Verify Identities as text."
                ),
                io.String.Input(
                    "filename_prefix",
                    default="ID-Patch/report",
                    tooltip="The start of the file's name in the output folder; it may name a "
                    "folder.",
                ),
                io.String.Input(
                    "report_json",
                    force_input=True,
                    optional=True,
                    tooltip="The report as JSON, saved as well if connected.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls, report: str, filename_prefix: str, report_json: str | None = None
    ) -> io.NodeOutput:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        contents = {".txt": report + "\n"}
        if report_json is not None:
            contents[".json"] = report_json
        files = []
        for suffix, content in contents.items():
            file = f"{name}_{counter:05}_{suffix}"
            Path(folder, file).write_text(content, "utf-8")
            files.append({"filename": file, "subfolder": subfolder, "type": "output"})
        return io.NodeOutput(ui={"text": (report,), "idpatch_report": files})
