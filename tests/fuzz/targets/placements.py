"""The placements JSON of the Placer."""

import json
from pathlib import Path

from idpatch_core.bodies import make_body, to_person
from idpatch_core.layout import outside
from idpatch_core.placements import format_placements, read_placements

from ..mutations import mutate_json
from ..target import Target

NAMES = ("Ada", "Bo", "Cleo")
WIDTH, HEIGHT, PATCH = 256, 192, 16


def place_people(data: bytes, folder: Path) -> None:
    """Read placements, and compute with them as the Placer does."""
    people, _ = read_placements(data.decode(), NAMES, WIDTH, HEIGHT, PATCH)
    for placement in people:
        if placement.point and placement.body:
            to_person(placement.point, placement.body)
    points = [placement.point for placement in people]
    outside(points, WIDTH, HEIGHT)
    format_placements(points)


def make_seeds() -> list[bytes]:
    body = [None if joint is None else list(joint) for joint in make_body("standing", 90)]
    listed = [{"x": 30, "y": 40}, {"x": 99.5, "y": 30, "patch_strength": 0.5}, None]
    named = [
        {"name": name, "x": 40 + 60 * i, "y": 50, "placed": i < 2} for i, name in enumerate(NAMES)
    ]
    stored = {"version": 1, "width": 512, "height": 384, "people": named}
    bodies = {**stored, "people": [{**person, "body": body} for person in named]}
    others = {**stored, "people": [{**person, "name": person["name"] + "h"} for person in named]}
    seeds = (listed, named, stored, bodies, others, [{"x": 0.5, "y": 0.25}] * 3)
    return [*(json.dumps(seed).encode() for seed in seeds), b"", b"[" * 2000]


TARGET = Target(place_people, make_seeds, mutate_json)
