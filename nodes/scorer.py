"""Load Scorer: the face-recognition model that scores finished images."""

from pathlib import Path
from typing import Any, NamedTuple

import folder_paths
from comfy_api.v0_0_2 import io

from ..idpatch_core.face_detector import YUNET, Detector, YuNet
from ..idpatch_core.verification.scorer import (
    ADVICE,
    FaceScorer,
    find_scorers,
    load_scorer,
    make_conditioning_scorer,
)
from . import sockets
from .faces import FaceModel, encode_crops
from .folders import ID_PATCH
from .schema import Schema

# Stored in workflows. The other choices are files, whose names end in .onnx.
AUTO, CONDITIONING = "auto", "conditioning"


@sockets.carried_by(sockets.Scorer, "a scorer", "Connect the one of Load Scorer.")
class LoadedScorer(NamedTuple):
    """A scorer, the face detector to use with it, and a warning for the user or an empty string."""

    scorer: FaceScorer
    detector: Detector
    detector_name: str
    warning: str = ""


def list_scorer_files() -> dict[str, Path]:
    """Return the user's face-recognition ONNX files by relative path."""
    files: dict[str, Path] = {}
    for folder in (ID_PATCH.name, "insightface"):
        for root in map(Path, folder_paths.get_folder_paths(folder)):
            for path in find_scorers([root]):
                files.setdefault(path.relative_to(root).as_posix(), path)
    return files


def choose_scorer(choice: str, face_model: FaceModel | None) -> tuple[FaceScorer, str]:
    """Load the scorer of a stored choice; return it with a warning, or an empty string.

    Raises ValueError if the file is missing, or if the conditioning model is to score and
    `face_model` is None.
    """
    files = list_scorer_files()
    if choice == AUTO and files:
        choice = next(iter(files))
    if choice in files:
        return load_scorer(files[choice]), ""
    folder = folder_paths.get_folder_paths(ID_PATCH.name)[0]
    if choice not in (AUTO, CONDITIONING):
        raise ValueError(
            f"scorer: {choice} was not found. Put the file back into {folder}, or press R and "
            "choose another."
        )
    if face_model is None:
        raise ValueError(
            "scorer: no independent face-recognition model was found or chosen, and face_model is "
            f"not connected. Put a model into {folder}, or connect Load Face Model. {ADVICE}."
        )
    warning = (
        f"scored by {face_model.file}, the conditioning model, so the scores are biased upwards. "
        f"For unbiased scores put an independent face-recognition model into {folder}. {ADVICE}."
    )
    return make_conditioning_scorer(face_model.file, _embed_with(face_model)), warning


def _embed_with(face_model: FaceModel) -> Any:
    return lambda crops: encode_crops(face_model, crops).numpy()


class IDPatchLoadScorer(sockets.Node):
    FILE_INPUTS = ("scorer",)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchLoadScorer",
            display_name="Load Scorer",
            category=sockets.CATEGORY,
            search_aliases=["face recognition", "face similarity", "arcface"],
            description="Loads the face-recognition model that scores finished images.",
            inputs=[
                io.Combo.Input(
                    "scorer",
                    options=[AUTO, *list_scorer_files(), CONDITIONING],
                    default=AUTO,
                    tooltip="The face-recognition model that scores. auto: the first ArcFace-type "
                    f".onnx file in models/{ID_PATCH.name} or models/insightface, otherwise the "
                    "conditioning model. conditioning: the model of face_model, which is biased "
                    "towards its own embeddings.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The cosine similarity from which two faces count as one person, for "
                    "duplicates and coverage. 0 uses the default of the model.",
                ),
                sockets.FaceModel.Input(
                    "face_model",
                    optional=True,
                    tooltip="The model of Load Face Model. Its detector finds the faces, and its "
                    "face recognition scores if no independent model is available.",
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
        files = [f"{path} {path.stat().st_mtime_ns}" for path in list_scorer_files().values()]
        return f"{scorer} {threshold} {files}"

    @classmethod
    def execute(
        cls, scorer: str, threshold: float = 0.0, face_model: FaceModel | None = None
    ) -> io.NodeOutput:
        chosen, warning = choose_scorer(scorer, face_model)
        if threshold > 0:
            chosen = chosen._replace(threshold=threshold)
        if face_model is None:
            loaded = LoadedScorer(chosen, YuNet(), YUNET, warning)
        else:
            loaded = LoadedScorer(chosen, face_model.detector, face_model.detector_name, warning)
        return io.NodeOutput(loaded, ui={"idpatch_warnings": [warning] if warning else []})
