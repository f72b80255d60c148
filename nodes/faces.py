"""Load Face Model and Face Encoder: from pictures to identities."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import comfy.model_patcher
import comfy.utils
import folder_paths
import numpy as np
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.alignment import align_face
from ..idpatch_core.arcface import embed, load_arcface
from ..idpatch_core.face_detector import (
    ALL,
    CHOICES,
    INDEX,
    LARGEST,
    LEFT_TO_RIGHT,
    YUNET,
    Detector,
    Face,
    choose_faces,
    load_detector,
)
from ..idpatch_core.identity import (
    Identity,
    append,
    average,
    rename,
    similarity,
)
from . import sockets
from .folders import FACE_RECOGNITION, find_file, list_files, missing_file
from .identities import show_people
from .model_management import manage, operations, run

ONE_PERSON, ONE_PER_PICTURE = "one person", "one per picture"
# Cosine of two photographs of one person: IR-SE50 gives about 0.7, and 0 for two people.
DIFFERENT_PEOPLE = 0.2
INSIGHTFACE = "insightface: "  # before the directory's name in the list of detectors

folder_paths.add_model_folder_path("insightface", str(Path(folder_paths.models_dir, "insightface")))


class FaceModel(NamedTuple):
    """Face recognition under ComfyUI's management, and the detector that finds faces for it."""

    patcher: comfy.model_patcher.ModelPatcher
    detector: Detector
    file: str
    detector_name: str


class FaceCrop(NamedTuple):
    """A face that was taken from a picture, counted from 1, and its crop (112, 112, 3) uint8."""

    picture: int
    face: Face
    crop: Tensor


def insightface_directories() -> dict[str, Path]:
    """Return the model packs of insightface that lie in ComfyUI's models folder, by name."""
    return {
        INSIGHTFACE + directory.name: directory
        for root in folder_paths.get_folder_paths("insightface")
        for directory in sorted(Path(root, "models").glob("*"))
        if any(directory.glob("*.onnx"))
    }


def find_detector(name: str) -> Detector:
    """Load a detector by its name in the list."""
    directory = YUNET if name == YUNET else insightface_directories().get(name)
    if directory is None:
        raise ValueError(f"detector: {name} is not there any more. Press R to read the list again.")
    return load_detector(directory)


def load_face_model(path: Path, detector: Detector, detector_name: str) -> FaceModel:
    """Load face recognition from a file, to use it with a detector."""
    # Ordinary tensors, because ComfyUI moves weights outside inference mode as well.
    with torch.inference_mode(False):
        patcher = manage(load_arcface(path, operations))
    return FaceModel(patcher, detector, path.name, detector_name)


def read_pictures(image: Tensor) -> list[np.ndarray]:
    """Return an IMAGE (N, H, W, C) as N pictures (H, W, 3) uint8 RGB."""
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or not image.numel():
        raise ValueError(
            f"image: expected pictures (N, H, W, 3), got {tuple(image.shape)}. Connect an IMAGE."
        )
    # In place: each further copy costs as much as finding the faces in a small picture.
    pixels = image[..., :3].mul(255).round_().clamp_(0, 255).byte().cpu()
    return list(pixels.expand(-1, -1, -1, 3).contiguous().numpy())


def find_faces(
    detector: Detector,
    picture: np.ndarray,
    number: int,
    choice: str,
    index: int,
    min_face_size: int,
) -> tuple[list[FaceCrop], list[str]]:
    """Find the faces that were asked for in picture `number`, and what to warn of.

    Raises ValueError that names the picture if there is none or it is too small.
    """
    faces = detector.detect(picture)
    height, width = picture.shape[:2]
    here = f"image: picture {number} ({width}x{height})"
    if not faces:
        raise ValueError(
            f"{here}: no face was found in it. Use a picture that shows the whole face upright and "
            "from the front, or try another detector in Load Face Model."
        )
    try:
        chosen = choose_faces(faces, choice, index)
    except ValueError as error:
        raise ValueError(f"{here}: {error}") from None
    large = [face for face in chosen if min(face.size) >= min_face_size]
    if not large:
        face_width, face_height = chosen[0].size
        raise ValueError(
            f"{here}: the face is {face_width:.0f}x{face_height:.0f} pixels, too small for "
            f"min_face_size {min_face_size}. Use a picture with more pixels of it, or lower "
            "min_face_size and get less likeness."
        )
    warnings = []
    if len(large) < len(chosen):
        warnings.append(
            f"{here}: {len(chosen) - len(large)} of {len(chosen)} faces are smaller than "
            f"min_face_size {min_face_size} and were left out."
        )
    others = sum(min(face.size) >= min_face_size for face in faces) - 1
    if choice == LARGEST and others:
        x, y = large[0].nose
        warnings.append(
            f"{here}: {others + 1} faces were found; the largest was taken, with its nose at "
            f"{x:.0f}, {y:.0f}. Choose another with face and index, or everybody with face: all."
        )
    found = [
        FaceCrop(number, face, torch.from_numpy(align_face(picture, face.keypoints)))
        for face in large
    ]
    return found, warnings


def embed_faces(face_model: FaceModel, crops: Sequence[Tensor]) -> Tensor:
    """Return the embeddings (F, 512) of aligned faces. Raises ValueError if one is not finite."""
    # One by one, so that a face's embedding is the same to the last bit whoever else is there.
    embeddings = torch.cat([run(face_model.patcher, embed, crop[None]) for crop in crops])
    if not torch.isfinite(embeddings).all():
        raise ValueError(
            f"face_model: {face_model.file} gives embeddings that hold NaN or infinity. "
            "The file is damaged: fetch it again."
        )
    return embeddings


def parse_names(text: str) -> list[str]:
    """Read names separated by commas or line breaks."""
    return [name.strip() for name in text.replace("\n", ",").split(",") if name.strip()]


def name_people(names: Sequence[str], people: int, before: int) -> list[str]:
    """Return a name for each: theirs, "Anna 1", "Anna 2" of one name, or "person 3" of none."""
    if not names:
        return [f"person {before + number}" for number in range(1, people + 1)]
    if len(names) == 1 and people > 1:
        return [f"{names[0]} {number}" for number in range(1, people + 1)]
    return list(names)


def parse_weights(text: str) -> list[float] | None:
    """Read one weight for each picture, or None if there are none."""
    if not text.strip():
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"weights: expected numbers separated by commas, got {text!r}. Write one for each "
            "picture, such as 1, 0.5, or leave it empty."
        ) from None


def make_people(
    found: Sequence[FaceCrop],
    embeddings: Tensor,
    names: Sequence[str],
    before: int,
    one_person: bool,
    weights: Sequence[float] | None,
) -> tuple[list[Identity], list[str]]:
    """Return the people of these faces, named, and what to warn of.

    `before` people are there already; with `one_person` all faces are of the same one.
    """
    faces = [
        Identity(f"picture {one.picture}", embedding, one.crop)
        for one, embedding in zip(found, embeddings, strict=True)
    ]
    if not one_person:
        if weights is not None:
            raise ValueError(
                f"weights: they are for averaging, but there are {len(faces)} people here. Leave "
                f"weights empty, or set people to '{ONE_PERSON}'."
            )
        return rename(faces, name_people(names, len(faces), before)), []
    (name,) = [person.name for person in rename(faces[:1], name_people(names, 1, before))]
    return [average(name, faces, weights)], warn_of_strangers(name, faces)


def warn_of_strangers(name: str, faces: Sequence[Identity]) -> list[str]:
    """Say which two pictures of one person are the least alike, if they hardly are."""
    pairs = list(itertools.combinations(faces, 2))
    if not pairs:
        return []
    a, b = min(pairs, key=lambda pair: similarity(*pair))
    if similarity(a, b) >= DIFFERENT_PEOPLE:
        return []
    return [
        f"image: {a.name} and {b.name} look like different people (similarity "
        f"{similarity(a, b):.2f}), but were averaged to {name}. Set people to "
        f"'{ONE_PER_PICTURE}' if they are."
    ]


class IDPatchLoadFaceModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchLoadFaceModel",
            display_name="Load Face Model",
            category=sockets.CATEGORY,
            description="Loads what finds faces in pictures and what recognises them.",
            inputs=[
                io.Combo.Input(
                    "recognition",
                    options=list_recognition(),
                    tooltip="The face recognition that ID-Patch was trained with, in "
                    f"models/{FACE_RECOGNITION.name}. The released one is "
                    f"{FACE_RECOGNITION.released_file} of facexlib, at {FACE_RECOGNITION.source}.",
                ),
                io.Combo.Input(
                    "detector",
                    options=[YUNET, *insightface_directories()],
                    default=YUNET,
                    tooltip="What finds the faces. YuNet is built in; model packs of insightface "
                    "in models/insightface/models need the Python package insightface.",
                ),
            ],
            outputs=[
                sockets.FaceModel.Output(
                    display_name="face_model", tooltip="The face model, for the Face Encoder."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, recognition: str | None = None) -> bool | str:
        message = recognition and missing_file(FACE_RECOGNITION, recognition)
        return message or True

    @classmethod
    def fingerprint_inputs(cls, recognition: str, detector: str = YUNET) -> str:
        path = folder_paths.get_full_path(FACE_RECOGNITION.name, recognition)
        stat = Path(path).stat() if path else None
        return f"{path} {stat.st_mtime_ns} {stat.st_size} {detector}" if stat else ""

    @classmethod
    def execute(cls, recognition: str, detector: str = YUNET) -> io.NodeOutput:
        path = find_file(FACE_RECOGNITION, "recognition", recognition)
        return io.NodeOutput(load_face_model(path, find_detector(detector), detector))


def list_recognition() -> list[str]:
    """Return the files that may be face recognition, the most likely first.

    Other packs keep facexlib's detection and parsing networks in the same folder.
    """
    files = list_files(FACE_RECOGNITION)
    return sorted(files, key=lambda file: ("arcface" not in file.lower(), file))


class IDPatchFaceEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchFaceEncoder",
            display_name="Face Encoder",
            category=sockets.CATEGORY,
            description="Finds people in pictures and makes their identities.",
            inputs=[
                sockets.FaceModel.Input("face_model", tooltip="The model of Load Face Model."),
                io.Image.Input("image", tooltip="One picture or a batch of pictures of people."),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="What to call the person, or several people, separated by commas. "
                    "Left empty they are called person 1, person 2 and so on.",
                ),
                io.Combo.Input(
                    "face",
                    options=list(CHOICES),
                    default=LARGEST,
                    tooltip="Which face of each picture to take: the largest, everybody from left "
                    "to right, the one with the index, or all, the largest first.",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=999,
                    tooltip="Which face to take if face is 'index', counted from the left; the "
                    "first is 0.",
                ),
                io.Combo.Input(
                    "people",
                    options=[ONE_PERSON, ONE_PER_PICTURE],
                    default=ONE_PERSON,
                    tooltip="Whether several pictures show one person, whose faces are averaged, "
                    "or each shows people of its own.",
                ),
                io.Int.Input(
                    "min_face_size",
                    default=32,
                    min=1,
                    max=4096,
                    optional=True,
                    tooltip="The least width and height of a face in pixels. A smaller one gives "
                    "too little likeness.",
                ),
                io.String.Input(
                    "weights",
                    default="",
                    optional=True,
                    tooltip="How much each picture of one person counts, separated by commas. Left "
                    "empty they count the same.",
                ),
                sockets.Identities.Input(
                    "identities",
                    optional=True,
                    tooltip="People of another Face Encoder; these here are added after them.",
                ),
            ],
            outputs=[
                sockets.Identities.Output(
                    display_name="identities",
                    tooltip="The people in their order, for the ID Patch Builder.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        face_model: FaceModel,
        image: Tensor,
        name: str = "",
        face: str = LARGEST,
        index: int = 0,
        people: str = ONE_PERSON,
        min_face_size: int = 32,
        weights: str = "",
        identities: list[Identity] | None = None,
    ) -> io.NodeOutput:
        pictures, before = read_pictures(image), identities or []
        everybody = face in (LEFT_TO_RIGHT, ALL)
        if everybody and people == ONE_PERSON and len(pictures) > 1:
            raise ValueError(
                f"people: it is '{ONE_PERSON}', but face: {face} takes everybody in "
                f"{len(pictures)} pictures. Set people to '{ONE_PER_PICTURE}', or face to "
                f"'{LARGEST}' or '{INDEX}'."
            )
        found, warnings = [], []
        progress = comfy.utils.ProgressBar(len(pictures) + 1)
        for number, picture in enumerate(pictures, 1):
            more, warned = find_faces(
                face_model.detector, picture, number, face, index, min_face_size
            )
            found += more
            warnings += warned
            progress.update(1)
        embeddings = embed_faces(face_model, [one.crop for one in found])
        progress.update(1)

        one_person = people == ONE_PERSON and not everybody
        new, warned = make_people(
            found, embeddings, parse_names(name), len(before), one_person, parse_weights(weights)
        )
        warnings += warned
        everyone = append(before, new)
        names = [person.name for person in everyone[len(before) :]]
        shown = [
            (names[0] if one_person else names[number], one.face.score, one.crop)
            for number, one in enumerate(found)
        ]
        return io.NodeOutput(everyone, ui=show_people(shown, warnings))
