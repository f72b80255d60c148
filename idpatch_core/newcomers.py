"""Gives stored placements to people by name, and finds points for people who are new."""

import math
from collections.abc import Sequence

from .layout import Point, row

GAPS = (2.0, 1.0)  # between the patches of a newcomer and of the others: tried in this order


def match_names(
    stored: Sequence[str | None], placed: Sequence[bool], names: Sequence[str]
) -> list[int | None] | None:
    """Return which stored placement each person has, None for someone who has none.

    `stored` are the names of the placements and `placed` whether they have a point. A new person
    takes the placement of someone who is gone, if there is one, that at the same position first.
    Returns None where names do not tell: one is missing or comes twice.
    """
    if None in stored or len(set(stored)) < len(stored) or len(set(names)) < len(names):
        return None
    found = [list(stored).index(name) if name in stored else None for name in names]
    free = [index for index, name in enumerate(stored) if name not in names and placed[index]]
    new = [person for person, index in enumerate(found) if index is None]
    for person in [person for person in new if person in free]:
        found[person] = person
        free.remove(person)
    for person in new:
        if found[person] is None and free:
            found[person] = free.pop(0)
    return found


def find_free_point(
    person: int,
    count: int,
    others: Sequence[Point],
    width: int,
    height: int,
    patch_size: int,
) -> Point:
    """Return the free point nearest to where `person` of `count` would be in a row.

    It is inside the image, and apart from the points of the others, if there is such a point.
    """
    preferred = row(count, width, height, patch_size)[person]
    step = patch_size / 2
    grid = [
        Point(step * (x + 1), step * (y + 1))
        for y in range(max(math.floor(height / step) - 1, 1))
        for x in range(max(math.floor(width / step) - 1, 1))
    ]
    for gap in GAPS:
        free = [
            point
            for point in [preferred, *grid]
            if all(
                max(abs(point.x - other.x), abs(point.y - other.y)) >= gap * patch_size
                for other in others
            )
        ]
        if free:
            return min(free, key=lambda point: math.dist(point, preferred))
    return preferred
