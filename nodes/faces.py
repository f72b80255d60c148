"""Load Face Model and Face Encoder: from images to identities."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import comfy.model_patcher
import comfy.utils
import numpy as np
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.arcface import embed, load_arcface
from ..idpatch_core.encode import (
    AUTO_PEOPLE,
    ONE_PER_IMAGE,
    ONE_PERSON,
    crop_faces,
    make_people,
    parse_names,
    parse_weights,
    warn_about_crops,
    warn_of_same_face,
)
from ..idpatch_core.face_detector import (
    ALL_FACES,
    FACE_AT_INDEX,
    FACE_CHOICES,
    FACES_LEFT_TO_RIGHT,
    LARGEST_FACE,
    YUNET,
    Detector,
)
from ..idpatch_core.identity import MAX_TOKEN_STRENGTH, Identity, append
from . import sockets
from .detectors import find_detector, insightface_directories
from .embedding_cache import recall_embedding
from .folders import FACE_RECOGNITION, find_file, fingerprint_file, list_files, missing_file
from .identities import show_people
from .images import read_images
from .model_management import manage, operations, run_network
from .schema import Schema


@sockets.carried_by(sockets.FaceModel, "a face model", "Connect the one of Load Face Model.")
class FaceModel(NamedTuple):
    """Face recognition under ComfyUI's management, and the detector that finds its faces."""

    patcher: comfy.model_patcher.ModelPatcher
    detector: Detector
    file: str
    detector_name: str


def load_face_model(path: Path, detector: Detector, detector_name: str) -> FaceModel:
    """Load face recognition from a file, to be used with a detector."""
    # Ordinary tensors, because ComfyUI moves weights outside inference mode as well.
    with torch.inference_mode(False):
        patcher = manage(load_arcface(path, operations))
    return FaceModel(patcher, detector, path.name, detector_name)


def encode_crops(face_model: FaceModel, crops: Sequence[np.ndarray] | np.ndarray) -> Tensor:
    """Return the embeddings (F, 512) of aligned faces, F times (112, 112, 3) uint8 RGB.

    Raises ValueError if one is not of unit length.
    """
    # One by one, so that an embedding does not depend on the other faces, not even in its last bit.
    embeddings = torch.cat([_encode_crop(face_model.patcher, crop) for crop in crops])
    # Absurd weights give NaN, or no embedding at all: zeros.
    if not ((embeddings.norm(dim=1) - 1).abs() < 1e-3).all():
        raise ValueError(
            f"face_model: {face_model.file} gives embeddings that are not of unit length. "
            "The file is damaged: download it again."
        )
    return embeddings


def _encode_crop(patcher: comfy.model_patcher.ModelPatcher, crop: np.ndarray) -> Tensor:
    pixels = torch.from_numpy(crop)[None]
    return recall_embedding(patcher, crop, lambda: run_network(patcher, embed, pixels))


def list_recognition() -> list[str]:
    """Return the files that may be face recognition, the most likely first.

    Other packs put facexlib's detection and parsing networks in the same folder.
    """
    files = list_files(FACE_RECOGNITION)
    return sorted(files, key=lambda file: ("arcface" not in file.lower(), file))


class IDPatchLoadFaceModel(sockets.Node):
    FILE_INPUTS = ("recognition", "detector")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchLoadFaceModel",
            display_name="Load Face Model",
            category=sockets.CATEGORY,
            search_aliases=["arcface", "face recognition", "insightface", "yunet"],
            description="Loads the face detector and the face recognition model.",
            inputs=[
                io.Combo.Input(
                    "recognition",
                    options=list_recognition(),
                    tooltip="The face recognition model that ID-Patch was trained with, in "
                    f"models/{FACE_RECOGNITION.name}. The released one is "
                    f"{FACE_RECOGNITION.released_file} of facexlib, at {FACE_RECOGNITION.source}.",
                ),
                io.Combo.Input(
                    "detector",
                    options=[YUNET, *insightface_directories()],
                    default=YUNET,
                    tooltip="The face detector. yunet is built in. Model packs of insightface, in "
                    "models/insightface/models, need the Python package insightface.",
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
        return recognition is None or missing_file(FACE_RECOGNITION, recognition) or True

    @classmethod
    def fingerprint_inputs(cls, recognition: str | None, detector: str = YUNET) -> str:
        fingerprint = fingerprint_file(FACE_RECOGNITION.name, recognition)
        return fingerprint and f"{fingerprint} {detector}"

    @classmethod
    def execute(cls, recognition: str, detector: str = YUNET) -> io.NodeOutput:
        path = find_file(FACE_RECOGNITION, "recognition", recognition)
        return io.NodeOutput(load_face_model(path, find_detector(detector), detector))


class IDPatchFaceEncoder(sockets.Node):
    LIST_INPUTS = ("image", "name")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchFaceEncoder",
            display_name="Face Encoder",
            category=sockets.CATEGORY,
            search_aliases=["face embedding", "InstantID", "IPAdapter FaceID", "PuLID"],
            is_input_list=True,
            has_intermediate_output=True,
            advanced=("min_face_size", "weights", "token_strength"),
            description="Finds a person's face in photos and computes the identity that the other "
            "nodes work with.",
            inputs=[
                sockets.FaceModel.Input("face_model", tooltip="The model of Load Face Model."),
                io.Image.Input(
                    "image",
                    tooltip="A photo of the person, a batch, or a list of photos, such as those of "
                    "a folder.",
                ),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="The name of the person, or of several people, separated by commas. If "
                    "empty, people are named person 1, person 2 and so on.",
                ),
                io.Combo.Input(
                    "face",
                    options=list(FACE_CHOICES),
                    default=LARGEST_FACE,
                    tooltip="Which faces of each image to use. largest: the largest one; "
                    "left_to_right: all, by position; index: the one at index; all: all, largest "
                    "first.",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=999,
                    tooltip="The face to use if face is index, counted from the left; the first is "
                    "0.",
                ),
                io.Combo.Input(
                    "people",
                    options=[AUTO_PEOPLE, ONE_PERSON, ONE_PER_IMAGE],
                    default=AUTO_PEOPLE,
                    tooltip="one_person: all images show the same person, whose faces are "
                    "averaged. one_per_image: each image shows other people. auto: each image of a "
                    "list shows another person, those of a batch the same.",
                ),
                io.Int.Input(
                    "min_face_size",
                    default=32,
                    min=1,
                    max=4096,
                    optional=True,
                    tooltip="The minimum width and height of a face in pixels. Images made from a "
                    "smaller face resemble the person too little.",
                ),
                io.String.Input(
                    "weights",
                    default="",
                    optional=True,
                    tooltip="The weight of each image in the average of one person, separated by "
                    "commas. If empty, all images have the same weight.",
                ),
                io.Float.Input(
                    "token_strength",
                    default=1.0,
                    min=0.0,
                    max=MAX_TOKEN_STRENGTH,
                    step=0.05,
                    optional=True,
                    tooltip="The strength of the ID tokens of these people. 1 is as trained, 0 "
                    "removes their identity, more exaggerates it.",
                ),
                sockets.Identities.Input(
                    "identities",
                    optional=True,
                    tooltip="People of another node. The new ones are added after them.",
                ),
            ],
            outputs=[
                sockets.Identities.Output(
                    display_name="identities",
                    tooltip="The people in order, for the ID Patch Builder.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        face_model: FaceModel,
        image: list[Tensor],
        name: list[str] | None = None,
        face: str = LARGEST_FACE,
        index: int = 0,
        people: str = AUTO_PEOPLE,
        min_face_size: int = 32,
        weights: str = "",
        token_strength: float = 1.0,
        identities: list[Identity] | None = None,
    ) -> io.NodeOutput:
        images, before = [pixels for one in image for pixels in read_images(one)], identities or []
        given_names = [part for text in name or [] for part in parse_names(text)]
        several_each = face in (FACES_LEFT_TO_RIGHT, ALL_FACES)
        if people == AUTO_PEOPLE:
            people = ONE_PER_IMAGE if several_each or len(image) > 1 else ONE_PERSON
        if several_each and people == ONE_PERSON and len(images) > 1:
            raise ValueError(
                f"people: it is {ONE_PERSON}, but face {face} uses every face of {len(images)} "
                f"images. Set people to {ONE_PER_IMAGE}, or face to {LARGEST_FACE} or "
                f"{FACE_AT_INDEX}."
            )
        one_person = people == ONE_PERSON and not several_each
        owners = given_names * len(images) if one_person else given_names
        known = not several_each and len(owners) == len(images)
        found, warnings = [], []
        progress = comfy.utils.ProgressBar(len(images) + 1)
        for number, pixels in enumerate(images, 1):
            owner = owners[number - 1] if known else ""
            options = (number, face, index, min_face_size, owner)
            crops, more = crop_faces(face_model.detector, pixels, *options)
            found += crops
            warnings += more
            progress.update(1)
        embeddings = encode_crops(face_model, [one.crop for one in found])
        progress.update(1)

        new, more = make_people(
            found, embeddings, given_names, len(before), one_person, parse_weights(weights)
        )
        new = [person._replace(token_strength=token_strength) for person in new]
        all_people = append(before, new)
        names = [person.name for person in all_people[len(before) :]]
        crop_names = [names[0] if one_person else names[number] for number in range(len(found))]
        warnings += more + warn_about_crops(found, crop_names)
        warnings += warn_of_same_face(all_people, "image")
        entries = [
            (crop_name, one.face.score, one.crop)
            for crop_name, one in zip(crop_names, found, strict=True)
        ]
        return io.NodeOutput(all_people, ui=show_people(entries, warnings))
