"""One image to evaluate: what was asked for, and the file of the result."""

import reprlib
from pathlib import Path
from typing import Any, NamedTuple

from ..layout import MAX_COORDINATE, Point
from ..read_image import IMAGE_SUFFIXES


class CasePerson(NamedTuple):
    """One person of a case; `point` in pixels of the case's size, None if not known."""

    name: str
    references: tuple[Path, ...]
    point: Point | None = None


class Case(NamedTuple):
    """One image to evaluate.

    `size` (width, height) is what the points refer to, None for the result's size; `truth` is a
    real photo of the same people, for copy-paste and FID; `problem` says why a case could not be
    read: it then has no people and counts as a problem.
    """

    id: str
    system: str
    people: tuple[CasePerson, ...] = ()
    prompt: str = ""
    result: Path = Path()
    truth: Path | None = None
    seconds: float | None = None
    size: tuple[int, int] | None = None
    problem: str | None = None


def find_image(folder: Path, stem: str) -> Path:
    """Return the image file of this name, or the expected path if there is none."""
    paths = [folder / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((path for path in paths if is_file(path)), paths[0])


def is_file(path: Path) -> bool:
    """Tell whether a file exists; a name that no file can have, such as a long one, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def box_centre(box: Any) -> Point:
    """Return the centre of a box [x0, y0, x1, y1] in pixels; raises ValueError otherwise."""
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_coordinate, box)):
        raise ValueError(f"expected a box [x0, y0, x1, y1] in pixels, got {reprlib.repr(box)}.")
    return Point((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def is_coordinate(value: Any) -> bool:
    return is_number(value) and abs(value) <= MAX_COORDINATE


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
