"""Load Scorer: the face-recognition network that scores finished images."""

from pathlib import Path
from typing import Any, NamedTuple

import folder_paths
import torch
from comfy_api.v0_0_2 import io

from ..idpatch_core.face_detector import YUNET, Detector, YuNet
from ..idpatch_core.verification.scorer import (
    ADVICE,
    CONDITIONING,
    Scorer,
    conditioning_scorer,
    find_scorers,
    load_scorer,
)
from . import sockets
from .faces import FaceModel, embed_faces
from .folders import ID_PATCH

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
    return lambda crops: embed_faces(face_model, list(torch.from_numpy(crops))).numpy()


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
