"""The placements JSON: reads and writes where each person is to appear."""

import json
import math
from collections.abc import Sequence
from typing import Any

from .layout import MAX_COORDINATE, Placement, Point, count_of, join_names

SCHEMA_VERSION = 1  # of the placements object
MAX_PATCH_STRENGTH = 10.0


def parse_placements(text: str, names: Sequence[str]) -> list[Placement]:
    """Read the placements JSON: one placement for each person, in their order.

    `text` is a list of `{"x": ..., "y": ...}` in output pixels, with an optional
    `"patch_strength"`; `null` or `"placed": false` takes a person off the canvas. An object with
    `"version": 1` and the list as `"people"` is read likewise; other fields are ignored. An empty
    text or list gives an empty list: no one has been placed by hand. Raises a ValueError for
    anything else.
    """
    if not text.strip():
        return []
    items = _read_list(_load(text))
    if not items:
        return []
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
    return [
        _read_placement(item, f"placements: person {number} ({name})")
        for number, (item, name) in enumerate(zip(items, names, strict=True), start=1)
    ]


def format_placements(points: Sequence[Point | None]) -> str:
    """Return points in output pixels as the placements JSON, None as null."""
    return json.dumps([None if p is None else {"x": p.x, "y": p.y} for p in points])


def _load(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"placements: {constant} is not a JSON number. Give a finite number.")

    try:
        return json.loads(text, parse_constant=refuse, parse_int=_read_integer)
    except json.JSONDecodeError as error:
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
    return Placement(Point(x, y), strength)


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
