"""Who stands where: one place for each person, in output pixels."""

import json
import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

VERSION = 1  # of the placements object
LARGEST = 1e6  # pixels from the corner; a number beyond it cannot be a place in a picture
STRONGEST = 10.0
ASPECT_TOLERANCE = 0.02  # relative difference of aspect ratios up to which points can be scaled


class Point(NamedTuple):
    """A place in output pixels; x to the right, y down, (0, 0) the top left corner."""

    x: float
    y: float


class Placement(NamedTuple):
    """Where one person stands; without a point they are off the canvas and get no patch."""

    point: Point | None
    strength: float = 1.0


def parse_placements(text: str, names: Sequence[str]) -> list[Placement]:
    """Read the placements JSON: one place for each person, in their order.

    `text` is a list of `{"x": ..., "y": ...}` in output pixels, with an optional `"strength"` of
    the person's patch; `null` or `"placed": false` takes a person off the canvas. An object with
    `"version": 1` and the list as `"people"` is read likewise; other fields are left alone. An
    empty text or list gives an empty list: nobody has been placed by hand. Raises a ValueError
    for anything else.
    """
    if not text.strip():
        return []
    items = _people(_load(text))
    if not items:
        return []
    if len(items) < len(names):
        raise ValueError(
            f"placements: {_count(len(items), 'place')} for {_people_named(names)}; no place for "
            f"{_join(names[len(items) :])}. Give each person a place, or null for no patch."
        )
    if len(items) > len(names):
        raise ValueError(
            f"placements: {_count(len(items), 'place')} for {_people_named(names)}; nobody stands "
            f"at place {_join(range(len(names) + 1, len(items) + 1))}. Remove what is too much or "
            "encode more people."
        )
    return [
        _placement(item, f"placements: person {number} ({name})")
        for number, (item, name) in enumerate(zip(items, names, strict=True), start=1)
    ]


def _load(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"placements: {constant} is no number that JSON or a picture knows.")

    try:
        return json.loads(text, parse_constant=refuse, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"placements: not JSON at line {error.lineno}, column {error.colno}: {error.msg}. "
            'Expected a list like [{"x": 412.5, "y": 230}, null], or nothing at all.'
        ) from None
    except RecursionError:
        raise ValueError("placements: the JSON is nested too deeply.") from None


def _integer(digits: str) -> float:
    # Python refuses to convert thousands of digits, with a message about itself.
    return int(digits) if len(digits) < 400 else math.inf


def _people(data: Any) -> list:
    if isinstance(data, dict):
        version = data.get("version")
        if type(version) is not int or version != VERSION:
            raise ValueError(
                f"placements: expected version {VERSION}, got {_shown(version)}. It was made by "
                "another version of the pack: reset the editor or update the pack."
            )
        if "people" not in data:
            raise ValueError(
                'placements: the object has no "people". Put the list of places there.'
            )
        data = data["people"]
    if not isinstance(data, list):
        raise ValueError(
            f"placements: expected a list with a place for each person, got {_shown(data)}."
        )
    return data


def _placement(item: Any, where: str) -> Placement:
    if item is None:
        return Placement(None)
    if not isinstance(item, dict):
        raise ValueError(f'{where}: expected {{"x": ..., "y": ...}} or null, got {_shown(item)}.')
    strength = _number(item.get("strength", 1.0), f"{where}: strength")
    if not 0 <= strength <= STRONGEST:
        raise ValueError(f"{where}: strength must be from 0 to {STRONGEST:g}, got {strength:g}.")
    placed = item.get("placed", True)
    if not isinstance(placed, bool):
        raise ValueError(f"{where}: placed must be true or false, got {_shown(placed)}.")
    if not placed:
        return Placement(None, strength)
    for axis in ("x", "y"):
        if axis not in item:
            raise ValueError(f"{where}: {axis} is missing. Give x and y in pixels, or null.")
    return Placement(Point(*(_pixels(item[axis], f"{where}: {axis}") for axis in "xy")), strength)


def _pixels(value: Any, where: str) -> float:
    number = _number(value, where)
    if abs(number) > LARGEST:
        raise ValueError(
            f"{where} is {number:g} pixels, far from any picture. Give a place in output pixels."
        )
    return number


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where} must be a number, got {_shown(value)}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{where} must be a finite number, got one that is too large.")
    return number


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _people_named(names: Sequence[str]) -> str:
    return f"{'1 person' if len(names) == 1 else f'{len(names)} people'} ({_join(names)})"


def _join(items: Sequence[object]) -> str:
    return ", ".join(str(item) for item in items)


def is_inside(point: Point, width: int, height: int) -> bool:
    """Tell whether a person at this point gets a patch: it is a pixel of the picture once rounded.

    Source: `modules/inferencer.py` of the reference, with positions kept in float32.
    """
    x, y = np.rint(np.array(point, dtype=np.float32))
    return bool(0 <= x < width and 0 <= y < height)


def outside(points: Sequence[Point | None], width: int, height: int) -> list[int]:
    """Return the indices of the people whose point lies outside the picture."""
    return [
        index
        for index, point in enumerate(points)
        if point is not None and not is_inside(point, width, height)
    ]


def overlapping(
    points: Sequence[Point | None],
    width: int,
    height: int,
    patch_size: int | Sequence[int] = 64,
) -> list[tuple[int, int]]:
    """Return the pairs of people, as indices, whose patches, of one size or each own, overlap."""
    sides = [patch_size] * len(points) if isinstance(patch_size, int) else patch_size
    corners = [
        (index, np.rint(np.array(point, dtype=np.float32)))
        for index, point in enumerate(points)
        if point is not None and is_inside(point, width, height)
    ]
    return [
        (first, second)
        for (first, a), (second, b) in combinations(corners, 2)
        if np.abs(a - b).max() < (sides[first] + sides[second]) / 2
    ]


class Head(NamedTuple):
    """A head found in a pose or a picture: where its nose is and how prominent the person is.

    `eyes` is their distance in pixels, None where they were not seen.
    """

    point: Point
    prominence: float
    eyes: float | None = None


def assign_left_to_right(
    found: Sequence[Head], names: Sequence[str], source: str, noun: str = "place"
) -> tuple[list[Point], list[Head]]:
    """Give each person, in their order, one of the found places from left to right.

    Where more were found than there are people, the most prominent are used. Returns the points
    and, left to right, what was not used. Raises a ValueError that names the input `source` and
    what was looked for there, the `noun`, when too few were found.
    """
    if len(found) < len(names):
        raise ValueError(
            f"{source}: {_count(len(found), noun)} found for {_people_named(names)}. Connect one "
            "that shows as many people, place them by hand in placements, or choose another "
            "arrangement."
        )
    ranked = sorted(found, key=lambda one: -one.prominence)

    def from_left(some: list[Head]) -> list[Head]:
        return sorted(some, key=lambda one: one.point)

    used, unused = from_left(ranked[: len(names)]), from_left(ranked[len(names) :])
    return [one.point for one in used], unused


def head_at(point: Point | None, heads: Sequence[Head], reach: float) -> Head | None:
    """Return the head nearest to a point, if one is within `reach` pixels."""
    if point is None or not heads:
        return None
    nearest = min(heads, key=lambda head: math.dist(head.point, point))
    return nearest if math.dist(nearest.point, point) <= reach else None


def row(count: int, width: int, height: int, patch_size: int = 64) -> list[Point]:
    """Place people in one row, or in as many as keep the patches apart in a narrow picture."""
    return _rows(count, width, height, patch_size, 1)


def two_rows(count: int, width: int, height: int, patch_size: int = 64) -> list[Point]:
    """Place people in two rows, the back one first, or in more where the picture is narrow."""
    return _rows(count, width, height, patch_size, min(2, count))


def arc(count: int, width: int, height: int, patch_size: int = 64) -> list[Point]:
    """Place people in a row that hangs down at both ends; as rows in a narrow picture."""
    points = row(count, width, height, patch_size)
    if len({point.y for point in points}) > 1:
        return points
    fall = min(0.2 * height, max(height - patch_size / 2 - points[0].y, 0.0))
    return [
        Point(point.x, float(round(point.y + fall * (2 * point.x / width - 1) ** 2)))
        for point in points
    ]


ARRANGEMENTS: dict[str, Callable[[int, int, int, int], list[Point]]] = {
    "row": row,
    "two rows": two_rows,
    "arc": arc,
}


def _rows(count: int, width: int, height: int, patch_size: int, wanted: int) -> list[Point]:
    across = max(width // patch_size, 1)
    rows = max(wanted, math.ceil(count / across))
    rows = max(min(rows, height // patch_size), 1)
    # A head a third down leaves room for the body; several rows share the upper two thirds.
    gap = max(0.3 * height / max(rows - 1, 1), patch_size)
    depth = gap * (rows - 1)
    highest, lowest = patch_size / 2, height - patch_size / 2
    top = max(
        min(max((0.35 if rows == 1 else 0.45) * height - depth / 2, highest), lowest - depth), 0
    )
    sizes = [count // rows + (index < count % rows) for index in range(rows)]
    return [
        Point(float(round((index + 0.5) * width / size)), float(round(top + gap * level)))
        for level, size in enumerate(sizes)
        for index in range(size)
    ]
