"""People: several persons in one node, each with a name and photos."""

from collections.abc import Sequence
from typing import Any

import comfy.utils
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.encode import (
    FaceCrop,
    count_other_faces,
    crop_faces,
    make_people,
    refuse_small_face,
    warn_about_crops,
    warn_of_same_face,
)
from ..idpatch_core.face_detector import LARGEST_FACE
from ..idpatch_core.identity import Identity, append
from ..idpatch_core.layout import Point
from ..idpatch_core.people import Person, Photo, find_face_at, parse_people
from . import sockets
from .faces import FaceModel, encode_crops
from .identities import show_people
from .images import read_images
from .photos import PhotoFaces, check_photo, encode_photo_face, find_photo_faces, hash_photo
from .schema import Schema


def name_person(person: Person, number: int) -> str:
    """Return a person's name, or "person 3" for one without."""
    return person.name or f"person {number}"


def check_photos(people: Sequence[Person]) -> None:
    """Raise a ValueError that names the person if one of the photos does not exist."""
    for number, person in enumerate(people, 1):
        for photo in person.photos:
            try:
                check_photo(photo.file)
            except ValueError as error:
                raise ValueError(f"people: {name_person(person, number)}: {error}") from None


def encode_photo(
    face_model: FaceModel, photo: Photo, name: str, min_face_size: int
) -> tuple[PhotoFaces, int, list[str]]:
    """Find and encode the face of a photo; return its faces, which one it is, and warnings.

    Raises ValueError that names the person and the photo if there is no such face.
    """
    here = f"people: {name}: {photo.file}"
    try:
        found = find_photo_faces(face_model, photo.file, here)
        index = 0  # the largest
        if photo.face:
            x, y = photo.face
            index = find_face_at(found.faces, Point(x * found.size[0], y * found.size[1]))
        refuse_small_face(found.faces[index], found.size, here, min_face_size)
        encode_photo_face(face_model, photo.file, found, index)
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith(here) else f"{here}: {message}") from error
    others = 0 if photo.face else count_other_faces(found.faces, min_face_size)
    warnings = [
        f"{here}: {others + 1} faces were found; the largest was used. Click the face of {name} on "
        "the photo."
    ]
    return found, index, warnings if others else []


def encode_person(
    face_model: FaceModel, person: Person, name: str, min_face_size: int
) -> tuple[Identity, dict[str, Any], list[str]]:
    """Return a person's identity, the faces of each photo by its file, and warnings."""
    crops: list[FaceCrop] = []
    embeddings: list[Tensor] = []
    photos, warnings = {}, []
    for number, photo in enumerate(person.photos, 1):
        found, index, more = encode_photo(face_model, photo, name, min_face_size)
        crops.append(found.encoded[index].crop._replace(image_number=number))
        embeddings.append(found.encoded[index].embedding)
        photos[photo.file] = report_photo(found)
        warnings += more
    weights = [photo.weight for photo in person.photos]
    try:
        (identity,), more = make_people(
            crops, torch.stack(embeddings), [name], 0, True, weights, "people"
        )
    except ValueError as error:
        raise ValueError(f"people: {name}: {error}") from error
    warnings += more + warn_about_crops(crops, [name] * len(crops), "people")
    identity = identity._replace(token_strength=person.token_strength, phrase=person.phrase)
    return identity, photos, warnings


def report_photo(found: PhotoFaces) -> dict[str, Any]:
    """Return a photo's size and the boxes of its faces, normalised to it, the largest first."""
    width, height = found.size
    boxes = [
        [left / width, top / height, right / width, bottom / height]
        for left, top, right, bottom in (face.box for face in found.faces)
    ]
    return {"width": width, "height": height, "faces": boxes}


def encode_images(
    face_model: FaceModel, images: Sequence[Tensor], before: int, min_face_size: int
) -> tuple[list[Identity], list[str]]:
    """Return the person with the largest face in each image, and warnings."""
    crops, warnings = [], []
    pixels = [one for image in images for one in read_images(image)]
    for number, image in enumerate(pixels, 1):
        try:
            options = (number, LARGEST_FACE, 0, min_face_size)
            (crop,), more = crop_faces(face_model.detector, image, *options)
        except ValueError as error:
            raise ValueError(f"images: {str(error).removeprefix('image: ')}") from None
        crops.append(crop)
        warnings += [f"images: {warning.removeprefix('image: ')}" for warning in more]
    embeddings = encode_crops(face_model, [crop.crop for crop in crops])
    people, _ = make_people(crops, embeddings, [], before, False, None)
    names = [person.name for person in people]
    return people, warnings + warn_about_crops(crops, names, "images")


class IDPatchPeople(sockets.Node):
    LIST_INPUTS = ("images",)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchPeople",
            display_name="People",
            category=sockets.CATEGORY,
            search_aliases=[
                "group photo",
                "multiple people",
                "two characters",
                "face",
                "photos",
                "persons",
            ],
            is_input_list=True,
            has_intermediate_output=True,
            advanced=("min_face_size",),
            description="Finds each person's face in their photos and computes their identity.",
            inputs=[
                sockets.FaceModel.Input("face_model", tooltip="The model of Load Face Model."),
                io.String.Input(
                    "people",
                    default="",
                    multiline=True,
                    tooltip="The people as JSON, which the node's editor writes: a list of names "
                    "with photos of ComfyUI's input folder, and phrases for Describe People.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="More people: a batch or list of images, such as those of a folder, "
                    "with one person in each. They are added after the people of this node.",
                ),
                sockets.Identities.Input(
                    "identities",
                    optional=True,
                    tooltip="People of another node. Those of this node are added after them.",
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
            ],
            outputs=[
                sockets.Identities.Output(
                    display_name="identities",
                    tooltip="The people in order, for the ID Patch Builder.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, people: list[str | None] | None = None) -> bool | str:
        text = people[0] if people else None
        if not isinstance(text, str):
            return True
        try:
            check_photos(parse_people(text))
        except ValueError as error:
            return str(error).removeprefix("people: ")
        return True

    @classmethod
    def fingerprint_inputs(cls, people: list[str | None] | None = None, **_: Any) -> str:
        # A photo may be replaced by another of its name. A linked text is None here.
        text = people[0] if people else None
        try:
            given = parse_people(text or "")
            return " ".join(hash_photo(photo.file) for one in given for photo in one.photos)
        except ValueError:  # which the run reports
            return ""

    @classmethod
    def execute(
        cls,
        face_model: FaceModel,
        people: str = "",
        images: list[Tensor] | None = None,
        identities: list[Identity] | None = None,
        min_face_size: int = 32,
    ) -> io.NodeOutput:
        given, before = parse_people(people), identities or []
        if not (given or images or before):
            raise ValueError("people: no one is given. Add a person with a photo of their face.")
        check_photos(given)
        progress = comfy.utils.ProgressBar(len(given) + 1)
        new: list[Identity] = []
        photos: dict[str, Any] = {}
        warnings: list[str] = []
        for person in given:
            name = name_person(person, len(before) + len(new) + 1)
            identity, found, more = encode_person(face_model, person, name, min_face_size)
            new.append(identity)
            photos |= found
            warnings += more
            progress.update(1)
        if images:
            count = len(before) + len(new)
            added, more = encode_images(face_model, images, count, min_face_size)
            new += added
            warnings += more
        progress.update(1)
        all_people = append(before, new)
        warnings += warn_of_same_face(all_people, "people")
        entries = [(one.name, None, one.crop) for one in all_people[len(before) :]]
        shown = show_people(entries, warnings)
        return io.NodeOutput(all_people, ui={**shown, "idpatch_photos": [photos]})
