"""The JSON of the People node: several persons, each with a name and photos."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .describe import describe_value, escape_surrogates
from .face_detector import Face
from .identity import MAX_TOKEN_STRENGTH
from .layout import Point

PEOPLE_VERSION = 1  # of the JSON object
MAX_WEIGHT = 100.0


class Photo(NamedTuple):
    """A photo of a person.

    `file` is its name in ComfyUI's input folder, as Load Image has it; `face` a point on the
    person's face, normalised to the photo, or None for the largest face; `weight` that of the photo
    in the average of the person's photos.
    """

    file: str
    face: Point | None = None
    weight: float = 1.0


class Person(NamedTuple):
    """A person as written by the user; an empty `name` leaves the name to the node.

    `phrase` describes clothes, hair or expression, for Describe People.
    """

    name: str
    photos: tuple[Photo, ...]
    token_strength: float = 1.0
    phrase: str = ""


def parse_people(text: str) -> list[Person]:
    """Read the people's JSON; an empty text has no one.

    It is a list of `{"name": ..., "photos": [...]}`, with an optional `"token_strength"` and
    `"phrase"`, or an object with `"version": 1` and the list as `"people"`. A photo is a file's
    name, or `{"file": ..., "face": [x, y], "weight": ...}` with the last two optional; x and y are
    from 0 to 1. Other fields are ignored. Raises a ValueError that names the person for anything
    else.
    """
    if not text.strip():
        return []
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"people: it is not JSON ({error}). {_ADVICE}") from None
    if isinstance(data, dict):
        if data.get("version", PEOPLE_VERSION) != PEOPLE_VERSION:
            raise ValueError(
                f"people: it has version {describe_value(data['version'])}, expected "
                f"{PEOPLE_VERSION}. Update this node pack, or add the people again."
            )
        data = data.get("people")
    if not isinstance(data, list):
        raise ValueError(f"people: expected a list, got {describe_value(data)}. {_ADVICE}")
    return [_read_person(item, number) for number, item in enumerate(data, 1)]


_ADVICE = 'Write people such as [{"name": "Anna", "photos": ["anna.jpg"]}].'


def _read_person(item: Any, number: int) -> Person:
    here = f"people: person {number}"
    if not isinstance(item, dict):
        raise ValueError(f"{here}: expected an object, got {describe_value(item)}. {_ADVICE}")
    name = item.get("name", "")
    if not isinstance(name, str):
        raise ValueError(f"{here}: name: expected text, got {describe_value(name)}. {_ADVICE}")
    name = " ".join(name.split())
    here = f"{here} ({name})" if name else here
    photos = item.get("photos")
    if not isinstance(photos, list) or not photos:
        given = "none" if photos in (None, []) else describe_value(photos)
        raise ValueError(
            f"{here}: photos: expected at least one photo, got {given}. Add a photo, or remove the "
            "person."
        )
    strength = _read_weight(item, "token_strength", MAX_TOKEN_STRENGTH, here)
    phrase = item.get("phrase", "")
    if not isinstance(phrase, str):
        raise ValueError(
            f"{here}: phrase: expected text, got {describe_value(phrase)}. Write one such as "
            '"red shirt, smiling", or leave it out.'
        )
    phrase = escape_surrogates(" ".join(phrase.split()))
    return Person(name, tuple(_read_photo(photo, here) for photo in photos), strength, phrase)


def _read_photo(item: Any, here: str) -> Photo:
    if isinstance(item, str):
        item = {"file": item}
    file = item.get("file") if isinstance(item, dict) else None
    if not isinstance(file, str) or not file.strip():
        raise ValueError(
            f"{here}: photos: expected the name of a file in ComfyUI's input folder, got "
            f"{describe_value(file if isinstance(item, dict) else item)}. {_ADVICE}"
        )
    here = f"{here}: {file}"
    face = item.get("face")
    weight = _read_weight(item, "weight", MAX_WEIGHT, here)
    return Photo(file, None if face is None else _read_point(face, here), weight)


def _read_point(value: Any, here: str) -> Point:
    numbers = value if isinstance(value, list) and len(value) == 2 else []
    if not numbers or not all(_is_number(number) and 0 <= number <= 1 for number in numbers):
        raise ValueError(
            f"{here}: face: expected [x, y], each from 0 to 1, got {describe_value(value)}. Click "
            "the face on the photo, or leave it out for the largest face."
        )
    return Point(float(numbers[0]), float(numbers[1]))


def _read_weight(item: dict[str, Any], key: str, most: float, here: str) -> float:
    value = item.get(key, 1.0)
    if not _is_number(value) or not 0 <= value <= most:
        raise ValueError(
            f"{here}: {key}: expected a number from 0 to {most:g}, got {describe_value(value)}. "
            "Enter one, or leave it out for 1."
        )
    return float(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def find_face_at(faces: Sequence[Face], point: Point) -> int:
    """Return the index of the face nearest to a point in pixels.

    A face whose box holds the point is nearer than any other; of several, the one with the nearest
    nose. Raises ValueError if there is no face.
    """
    if not faces:
        raise ValueError("There is no face.")

    def distance(index: int) -> tuple[float, float]:
        left, top, right, bottom = faces[index].box
        to_box = math.hypot(
            max(left - point.x, 0, point.x - right), max(top - point.y, 0, point.y - bottom)
        )
        return to_box, math.dist(faces[index].nose, point)

    return min(range(len(faces)), key=distance)
