"""The placements JSON: reads and writes where each person is to appear."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from .bodies import scale_body
from .layout import MAX_COORDINATE, Body, Placement, Point, count_of, join_names
from .skeleton import Joint

SCHEMA_VERSION = 1  # of the placements object
MAX_PATCH_STRENGTH = 10.0


class Placements(NamedTuple):
    """What a text says: each person's placement, and the image and people that it was written for.

    `size` is (width, height), None if the text does not say; `names` has None where it does not.
    """

    people: list[Placement]
    size: tuple[float, float] | None = None
    names: tuple[str | None, ...] = ()


def read_placements(
    text: str, names: Sequence[str], width: int, height: int
) -> tuple[list[Placement], list[str]]:
    """Read the placements JSON for an image of this size; return them and warnings.

    Placements for another size are scaled to it, and those of the same people in another order are
    given to them by name. Raises a ValueError as `parse_placements` does, and for points that seem
    to be normalised to the image.
    """
    given = parse_placements(text, names)
    people, warnings = given.people, []
    if order := _find_order(given.names, names):
        people = [people[index] for index in order]
        warnings.append(
            f"placements: they were made for {', '.join(map(str, given.names))}, in this order; "
            "each person has their own. Save them again in the order of the people."
        )
    elif given.names and None not in given.names and given.names != tuple(names):
        warnings.append(
            f"placements: they were made for {', '.join(map(str, given.names))}, but the people "
            f"are {', '.join(names)}; they are used in this order. Check who stands where."
        )
    points = [placement.point for placement in people]
    _refuse_shares([point for point in points if point], width, height)
    if given.size and given.size != (width, height):
        scale_x, scale_y = width / given.size[0], height / given.size[1]
        people = [
            placement._replace(
                point=placement.point
                and Point(placement.point.x * scale_x, placement.point.y * scale_y),
                body=scale_body(placement.body, math.sqrt(scale_x * scale_y)),
            )
            for placement in people
        ]
        made_for = f"{given.size[0]:g}x{given.size[1]:g}"
        warnings.append(
            f"placements: they were made for an image of {made_for} and scaled to {width}x{height}."
        )
    return people, warnings


def _find_order(stored: Sequence[str | None], names: Sequence[str]) -> list[int]:
    """Return which stored placement each person has, where only the order differs, else nothing."""
    if tuple(stored) == tuple(names) or set(stored) != set(names):
        return []
    if not len(set(names)) == len(names) == len(stored):
        return []
    return [list(stored).index(name) for name in names]


def _refuse_shares(points: Sequence[Point], width: int, height: int) -> None:
    numbers = [number for point in points for number in point]
    if not numbers or not all(0 <= number <= 1 for number in numbers):
        return
    if not all(number.is_integer() for number in numbers):
        raise ValueError(
            f"placements: {points[0].x:g}, {points[0].y:g} seems to be normalised to the image. "
            f"Give output pixels: x from 0 to {width}, y from 0 to {height}."
        )


def parse_placements(text: str, names: Sequence[str]) -> Placements:
    """Read the placements JSON: one placement for each person, in their order.

    `text` is a list of `{"x": ..., "y": ...}` in output pixels, with an optional
    `"patch_strength"` and `"body"`; `null` or `"placed": false` takes a person off the canvas. An
    object with `"version": 1` and the list as `"people"` is read likewise, with the `"width"` and
    `"height"` of its image; other fields are ignored. An empty text or list has no one: no one has
    been placed by hand. Raises a ValueError for anything else.

    A body is a list of the 18 joints of OpenPose: `[x, y]` in output pixels from the person's
    point, or `null` for a joint that is not seen. Pixels need no size of a face, which is not
    known before a run; for an image of another size they are scaled by the geometric mean of the
    two sides' factors, so that a body keeps its shape.
    """
    if not text.strip():
        return Placements([])
    data = _load(text)
    items = _read_list(data)
    if not items:
        return Placements([])
    if len(items) < len(names):
        raise ValueError(
            f"placements: {count_of(len(items), 'placement')} for {join_names(names)}; "
            f"none for {', '.join(names[len(items) :])}. Give each person a placement, or null "
            "for no patch."
        )
    if len(items) > len(names):
        surplus = ", ".join(str(n) for n in range(len(names) + 1, len(items) + 1))
        raise ValueError(
            f"placements: {len(items)} placements for {join_names(names)}; no one is left for "
            f"placement {surplus}. Delete the extra placements, or add another Face Encoder."
        )
    people = [
        _read_placement(item, f"placements: person {number} ({name})")
        for number, (item, name) in enumerate(zip(items, names, strict=True), start=1)
    ]
    stored = [item.get("name") if isinstance(item, dict) else None for item in items]
    made_for = tuple(name if isinstance(name, str) and name else None for name in stored)
    return Placements(people, _read_size(data), made_for)


def format_placements(points: Sequence[Point | None]) -> str:
    """Return points in output pixels as the placements JSON, None as null."""
    return json.dumps([None if p is None else {"x": p.x, "y": p.y} for p in points])


def _read_size(data: Any) -> tuple[float, float] | None:
    """Return the size that the editor stored, None unless it is one."""
    keys = ("width", "height")
    sides: list[Any] = [data.get(key) for key in keys] if isinstance(data, dict) else []
    if len(sides) != 2 or not all(type(side) in (int, float) for side in sides):
        return None
    width, height = sides
    return (width, height) if min(sides) >= 1 and max(sides) <= MAX_COORDINATE else None


def _load(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"placements: {constant} is not a JSON number. Give a finite number.")

    try:
        return json.loads(text, parse_constant=refuse, parse_int=_read_integer)
    except json.JSONDecodeError as error:
        if re.match(r"\s*(\[\s*)?\{\s*'", text):
            raise ValueError(
                "placements: it is Python's text of an object, which ComfyUI makes of JSON that is "
                "not text. Give the JSON as text, as json.dumps writes it."
            ) from None
        raise ValueError(
            f"placements: not JSON at line {error.lineno}, column {error.colno}: {error.msg}. "
            'Expected a list like [{"x": 412.5, "y": 230}, null], or an empty text.'
        ) from None
    except RecursionError:
        raise ValueError("placements: the JSON is nested too deeply.") from None


def _read_integer(digits: str) -> float:
    # Python refuses to convert thousands of digits, with a message about itself.
    return int(digits) if len(digits) < 400 else math.inf


def _read_list(data: Any) -> list:
    if isinstance(data, dict):
        version = data.get("version")
        if type(version) is not int or version != SCHEMA_VERSION:
            raise ValueError(
                f"placements: expected version {SCHEMA_VERSION}, got {_quote(version)}. Another "
                "version of the node pack wrote them: reset the editor or update the node pack."
            )
        if "people" not in data:
            raise ValueError(
                'placements: the object has no "people". Put the list of placements there.'
            )
        data = data["people"]
    if not isinstance(data, list):
        raise ValueError(
            f"placements: expected a list with a placement for each person, got {_quote(data)}."
        )
    return data


def _read_placement(item: Any, where: str) -> Placement:
    if item is None:
        return Placement(None)
    if not isinstance(item, dict):
        raise ValueError(f'{where}: expected {{"x": ..., "y": ...}} or null, got {_quote(item)}.')
    strength = _read_number(item.get("patch_strength", 1.0), f"{where}: patch_strength")
    if not 0 <= strength <= MAX_PATCH_STRENGTH:
        raise ValueError(
            f"{where}: patch_strength must be from 0 to {MAX_PATCH_STRENGTH:g}, got {strength:g}."
        )
    placed = item.get("placed", True)
    if not isinstance(placed, bool):
        raise ValueError(f"{where}: placed must be true or false, got {_quote(placed)}.")
    if not placed:
        return Placement(None, strength)
    for axis in ("x", "y"):
        if axis not in item:
            raise ValueError(f"{where}: {axis} is missing. Give x and y in pixels, or null.")
    x, y = (_read_coordinate(item[axis], f"{where}: {axis}") for axis in "xy")
    return Placement(Point(x, y), strength, _read_body(item.get("body"), f"{where}: body"))


def _read_body(value: Any, where: str) -> Body | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != len(Joint):
        raise ValueError(
            f"{where} must be a list of {len(Joint)} joints, each [x, y] in pixels from the "
            f"person's point or null, got {_quote(value)}."
        )
    return tuple(_read_joint(joint, f"{where}: joint {i}") for i, joint in enumerate(value))


def _read_joint(value: Any, where: str) -> Point | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{where} must be [x, y] or null, got {_quote(value)}.")
    x, y = (_read_coordinate(number, where) for number in value)
    return Point(x, y)


def _read_coordinate(value: Any, where: str) -> float:
    number = _read_number(value, where)
    if abs(number) > MAX_COORDINATE:
        raise ValueError(
            f"{where} is {number:g} pixels, far from any image. Give a point in output pixels."
        )
    return number


def _read_number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where} must be a number, got {_quote(value)}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{where} must be a finite number, got one that is too large.")
    return number


def _quote(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
