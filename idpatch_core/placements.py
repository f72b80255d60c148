"""The placements JSON: reads and writes where each person is to appear."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from .bodies import scale_body
from .layout import MAX_COORDINATE, Body, Placement, Point, count_of, join_names
from .newcomers import find_free_point, match_names
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
    text: str, names: Sequence[str], width: int, height: int, patch_size: int = 64
) -> tuple[list[Placement], list[str]]:
    """Read the placements JSON for an image of this size; return them and warnings.

    Where each placement has a name, people have those of their names: people in another order, new
    ones and those who are gone are no error. Placements for another size are scaled to it. Raises
    a ValueError as `parse_placements` does, and for points that seem to be normalised to the image.
    """
    stored, warnings = parse_placements(text, names), []
    people = stored.people
    _refuse_shares([placement.point for placement in people if placement.point], width, height)
    if stored.size and stored.size != (width, height):
        people = _rescale(people, width / stored.size[0], height / stored.size[1])
        made_for = f"{stored.size[0]:g}x{stored.size[1]:g}"
        warnings.append(
            f"placements: they were made for an image of {made_for} and scaled to {width}x{height}."
        )
    placed = [placement.point is not None for placement in people]
    found = match_names(stored.names, placed, names) if people else None
    if found is None or found == list(range(len(people))) == list(range(len(names))):
        if found is not None and stored.names != tuple(names):
            warnings.append(_describe_order(stored.names, names))
        return people, warnings
    warnings.append(_describe_order(stored.names, names))
    matched = [None if index is None else people[index] for index in found]
    for person, placement in enumerate(matched):
        if placement is None:
            others = [other.point for other in matched if other and other.point]
            point = find_free_point(person, len(names), others, width, height, patch_size)
            matched[person] = Placement(point)
            warnings.append(
                f"placements: {names[person]} is new and was placed at {point.x:.0f}, "
                f"{point.y:.0f}. Place them by hand if they are to be elsewhere."
            )
    return [placement for placement in matched if placement], warnings


def _rescale(people: Sequence[Placement], x: float, y: float) -> list[Placement]:
    return [
        placement._replace(
            point=placement.point and Point(placement.point.x * x, placement.point.y * y),
            body=scale_body(placement.body, math.sqrt(x * y)),
        )
        for placement in people
    ]


def _describe_order(stored: Sequence[str | None], names: Sequence[str]) -> str:
    made_for = f"placements: they were made for {', '.join(map(str, stored))}"
    if set(stored) == set(names):
        return (
            f"{made_for}, in this order; each person has their own. Save them again in the order "
            "of the people."
        )
    return (
        f"{made_for}, but the people are {', '.join(names)}; each person has their own. Check "
        "where the others are."
    )


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
    been placed by hand. Where each placement has a `"name"` of its own, there may be more or fewer
    than people. Raises a ValueError for anything else.

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
    made_for = tuple(_read_name(item) for item in items)
    if None in made_for or len(set(made_for)) < len(items):
        _check_count(len(items), names)
    people = [
        _read_placement(item, f"placements: person {number} ({name or names[number - 1]})")
        for number, (item, name) in enumerate(zip(items, made_for, strict=True), start=1)
    ]
    return Placements(people, _read_size(data), made_for)


def _read_name(item: Any) -> str | None:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) and name else None


def _check_count(count: int, names: Sequence[str]) -> None:
    if count < len(names):
        raise ValueError(
            f"placements: {count_of(count, 'placement')} for {join_names(names)}; "
            f"none for {', '.join(names[count:])}. Give each person a placement, or null "
            "for no patch."
        )
    if count > len(names):
        surplus = ", ".join(str(n) for n in range(len(names) + 1, count + 1))
        raise ValueError(
            f"placements: {count} placements for {join_names(names)}; no one is left for "
            f"placement {surplus}. Delete the extra placements, or add another Face Encoder."
        )


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
