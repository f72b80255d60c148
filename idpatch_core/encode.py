"""From images to identities: finds and crops faces, names people, averages their embeddings."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from .alignment import align_face, roll_of, share_outside
from .face_detector import LARGEST_FACE, Detector, Face, YuNet, choose_faces
from .identity import Identity, average, rename, similarity
from .upright import detect_turned, make_upright

AUTO_PEOPLE, ONE_PERSON, ONE_PER_IMAGE = "auto", "one_person", "one_per_image"
# Cosine of two photos of one person: IR-SE50 gives about 0.7, and 0 for two people.
DIFFERENT_PEOPLE = 0.2
SAME_FACE = 0.9
# Of a face's aligned crop; a portrait that is cut closely has less outside the image.
CUT_OFF = 0.2
# YuNet's score of a whole face from the front; most that are half covered score less.
CLEAR_SCORE = 0.9
TURNED = 60  # degrees from which the user is told that the face was turned upright
SMALL_SHARE = 1 / 20  # of the image's longer side: a face this small asks for a crop


class FaceCrop(NamedTuple):
    """A face, the number of its image counted from 1, and its aligned crop (112, 112, 3) uint8.

    `outside` is the share of the crop that lies outside the image; `is_clear` is False if the
    detector is not as sure of the face as of a whole one from the front.
    """

    image_number: int
    face: Face
    crop: np.ndarray
    outside: float = 0.0
    is_clear: bool = True


def find_faces(detector: Detector, image: np.ndarray, here: str) -> list[Face]:
    """Return the faces of an image (H, W, 3) uint8 RGB, the largest first.

    Raises ValueError, which begins with `here`, if it shows none.
    """
    faces = detect_turned(detector, image)
    if not faces:
        raise ValueError(
            f"{here}: no face was found. Use an image that shows the whole face from the front, "
            "crop it to the face if that is small, or try another detector in Load Face Model."
        )
    return faces


def crop_faces(
    detector: Detector,
    image: np.ndarray,
    number: int,
    choice: str,
    index: int,
    min_face_size: int,
    name: str = "",
) -> tuple[list[FaceCrop], list[str]]:
    """Find, choose and align the faces of one image; return them and the warnings.

    `image` (H, W, 3) uint8 RGB, `number` counted from 1; `choice` and `index` are those of
    `choose_faces`, `min_face_size` is in pixels; `name` is that of the person whose image it is, if
    it is known. Raises ValueError that names the image if it shows no such face, or only smaller
    ones.
    """
    height, width = image.shape[:2]
    here = f"image: image {number} {f'of {name} ' if name else ''}({width}x{height})"
    faces = find_faces(detector, image, here)
    try:
        chosen = choose_faces(faces, choice, index)
    except ValueError as error:
        raise ValueError(f"{here}: {error}") from None
    large = [face for face in chosen if min(face.size) >= min_face_size]
    if not large:
        refuse_small_face(chosen[0], (width, height), here, min_face_size)
    warnings = []
    if len(large) < len(chosen):
        warnings.append(
            f"{here}: {len(chosen) - len(large)} of {len(chosen)} faces are smaller than "
            f"min_face_size {min_face_size} and were left out."
        )
    others = count_other_faces(faces, min_face_size)
    if choice == LARGEST_FACE and others:
        x, y = large[0].nose
        warnings.append(
            f"{here}: {others + 1} faces were found; the largest was used, with its nose at "
            f"{x:.0f}, {y:.0f}. Set face to index to use another one, or to all to use every face."
        )
    return [crop_face(detector, image, number, face) for face in large], warnings


def refuse_small_face(face: Face, size: tuple[int, int], here: str, min_face_size: int) -> None:
    """Raise a ValueError, which begins with `here`, if a face is smaller than `min_face_size`.

    `size` is the (width, height) of its image.
    """
    if min(face.size) >= min_face_size:
        return
    width, height = face.size
    raise ValueError(
        f"{here}: the face is {width:.0f}x{height:.0f} pixels, too small for min_face_size "
        f"{min_face_size}. {_advise_larger(face, size)}, or lower min_face_size; the result will "
        "resemble the person less."
    )


def count_other_faces(faces: Sequence[Face], min_face_size: int) -> int:
    """Return how many faces there are, beside the largest, that might be meant."""
    return sum(min(face.size) >= min_face_size for face in faces) - 1


def crop_face(detector: Detector, image: np.ndarray, number: int, face: Face) -> FaceCrop:
    """Turn a face of an image upright if it is not, and align it."""
    face = make_upright(detector, image, face)
    outside = share_outside((image.shape[1], image.shape[0]), face.keypoints)
    is_clear = not isinstance(detector, YuNet) or face.score >= CLEAR_SCORE
    return FaceCrop(number, face, align_face(image, face.keypoints), outside, is_clear)


def warn_about_crops(
    found: Sequence[FaceCrop], names: Sequence[str], input_name: str = "image"
) -> list[str]:
    """Warn of each face, with its person's name, that is cut off, not clear or turned upright."""
    warnings = []
    for one, name in zip(found, names, strict=True):
        here = f"{input_name}: the face of {name} in image {one.image_number}"
        if one.outside > CUT_OFF:
            warnings.append(
                f"{here} is cut off: {one.outside:.0%} of its crop lies outside the image. Use an "
                "image that shows the whole face; the result will resemble the person less."
            )
        elif not one.is_clear:
            warnings.append(
                f"{here} seems to be partly covered, blurred, drawn or seen from the side: the "
                f"detector's score is {one.face.score:.2f}, that of a clear face at least "
                f"{CLEAR_SCORE:g}. Use an image that shows the whole face from the front; the "
                "result may resemble the person less."
            )
        if abs(roll := roll_of(one.face.keypoints)) > TURNED:
            warnings.append(
                f"{here} is turned by {abs(roll):.0f} degrees, and was turned upright. Turn the "
                "image yourself if the crop is not upright."
            )
    return warnings


def warn_of_same_face(people: Sequence[Identity], input_name: str) -> list[str]:
    """Warn of each two people, by their names, whose faces are practically one face."""
    return [
        f"{input_name}: {a.name} and {b.name} have the same face (similarity "
        f"{similarity(a, b):.2f}). If they are two people, check that each has their own photo."
        for a, b in itertools.combinations(people, 2)
        if similarity(a, b) >= SAME_FACE
    ]


def _advise_larger(face: Face, size: tuple[int, int]) -> str:
    if max(face.size) < SMALL_SHARE * max(size):
        return "Crop the original image around the face, without making it smaller"
    return "Use an image in which the face is larger"


def parse_names(text: str) -> list[str]:
    """Read names separated by commas or line breaks."""
    return [name.strip() for name in text.replace("\n", ",").split(",") if name.strip()]


def name_people(names: Sequence[str], people: int, before: int) -> list[str]:
    """Return a name for each: the given ones, "Anna 1", "Anna 2" of one, "person 3" of none.

    `before` is the number of people that precede these.
    """
    if not names:
        return [f"person {before + number}" for number in range(1, people + 1)]
    if len(names) == 1 and people > 1:
        return [f"{names[0]} {number}" for number in range(1, people + 1)]
    return list(names)


def parse_weights(text: str) -> list[float] | None:
    """Read one weight for each image, or None from an empty text."""
    if not text.strip():
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"weights: expected numbers separated by commas, got {text!r}. Write one for each "
            "image, such as 1, 0.5, or leave it empty."
        ) from None


def make_people(
    found: Sequence[FaceCrop],
    embeddings: Tensor,
    names: Sequence[str],
    before: int,
    one_person: bool,
    weights: Sequence[float] | None,
    input_name: str = "image",
) -> tuple[list[Identity], list[str]]:
    """Return the people of these faces, named, and the warnings.

    `embeddings` (F, 512) are those of the F faces, `before` is the number of people that precede
    them; with `one_person` all faces are averaged to one. Raises ValueError if names or weights do
    not fit.
    """
    faces = [
        Identity(f"image {one.image_number}", embedding, one.crop)
        for one, embedding in zip(found, embeddings, strict=True)
    ]
    if not one_person:
        if weights is not None:
            raise ValueError(
                f"weights: they are for averaging, but there are {len(faces)} people here. Leave "
                f"weights empty, or set people to {ONE_PERSON}."
            )
        return rename(faces, name_people(names, len(faces), before)), []
    (name,) = [person.name for person in rename(faces[:1], name_people(names, 1, before))]
    return [average(name, faces, weights)], warn_of_strangers(name, faces, input_name)


def warn_of_strangers(name: str, faces: Sequence[Identity], input_name: str = "image") -> list[str]:
    """Warn of the least similar two photos of one person if they hardly resemble each other."""
    pairs = list(itertools.combinations(faces, 2))
    if not pairs:
        return []
    a, b = min(pairs, key=lambda pair: similarity(*pair))
    if similarity(a, b) >= DIFFERENT_PEOPLE:
        return []
    advice = (
        f"set people to {ONE_PER_IMAGE}" if input_name == "image" else "give each their own entry"
    )
    return [
        f"{input_name}: {a.name} and {b.name} seem to show different people (similarity "
        f"{similarity(a, b):.2f}), but were averaged to {name}. If so, {advice}."
    ]
