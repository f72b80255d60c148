"""Built-in poses: groups of people that fill an image."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .bodies import BODY_WIDTH, GROUND, KINDS, MIRRORED, STANDING

# Of the tallest person, left to right.
HEIGHTS = (1.0, 0.93, 0.97, 0.91, 0.96, 0.94, 0.98, 0.92, 0.99, 0.95, 0.97, 0.93)
MOST = len(HEIGHTS)  # people of a built-in pose
# From the top of the head to where the ground or the image's edge is.
BOTTOMS = {"sitting": 0.9, "half_length": 0.5, "portrait": 0.2, "child": 0.69}
# Where that is, of the image's height.
GROUNDS = {"half_length": 1.0, "portrait": 0.66}
HUG = 0.24  # distance of two people who hug, of their height
FALL = 0.1  # of the image's height, from the middle of an arc to its ends


def make_standing(count: int, width: int, height: int) -> np.ndarray:
    """Return people (count, 18, 3) side by side in an image of the given size, in pixels.

    Each has the same share of the width, and is as tall as that and the height allow.
    """
    return make_row("standing", count, width, height)


def make_row(kind: str, count: int, width: int, height: int) -> np.ndarray:
    """Return people of one kind (count, 18, 3) side by side."""
    space, bottom, ground = width / count, BOTTOMS.get(kind, 1), GROUNDS.get(kind, GROUND)
    tallest = min(0.88 * height / bottom, space / BODY_WIDTH)
    return np.stack(
        [_put(kind, tallest * HEIGHTS[i], space * (i + 0.5), ground * height) for i in range(count)]
    )


def make_pairs(count: int, width: int, height: int) -> np.ndarray:
    """Return pairs of people (count, 18, 3) with an arm around each other."""
    space = width / (count // 2)
    size = min(0.88 * height, space / (BODY_WIDTH + HUG))
    people = []
    for i in range(count):
        x = space * (i // 2 + 0.5) + (0.5 if i % 2 else -0.5) * HUG * size
        people.append(_put("hugging", size * HEIGHTS[i], x, GROUND * height, mirrored=i % 2 == 1))
    return np.stack(people)


def make_arc(count: int, width: int, height: int) -> np.ndarray:
    """Return people (count, 18, 3) in an arc: those in the middle stand farther away."""
    people = make_row("standing", count, width, height)
    for i, person in enumerate(people):
        away = 1 - (2 * (i + 0.5) / count - 1) ** 2
        middle = width / count * (i + 0.5)
        person[:, 0] = middle + (person[:, 0] - middle) * (1 - FALL * away)
        ground = GROUND * height
        person[:, 1] = ground + (person[:, 1] - ground) * (1 - FALL * away) - FALL * height * away
    return people


def make_two_rows(count: int, width: int, height: int) -> np.ndarray:
    """Return people (count, 18, 3) in two rows: standing behind, sitting in the gaps in front."""
    front = count // 2
    back = count - front
    space = width / back
    size = min(0.8 * height, 1.1 * space / BODY_WIDTH)
    shift = space / 4 if front == back else 0.0
    people = [
        _put("standing", size * HEIGHTS[i], space * (i + 0.5) - shift, 0.88 * height)
        for i in range(back)
    ]
    people += [
        _put("sitting", size * HEIGHTS[i], space * (i + 1) - shift, GROUND * height)
        for i in range(front)
    ]
    return np.stack(people)


Make = Callable[[int, int, int], np.ndarray]


def _make_rows(kind: str) -> Make:
    return lambda count, width, height: make_row(kind, count, width, height)


GROUPS: dict[str, tuple[Make, range]] = {
    "standing": (make_standing, range(1, MOST + 1)),
    "two_rows": (make_two_rows, range(3, MOST + 1)),
    "arc": (make_arc, range(3, MOST + 1)),
    "hugging": (make_pairs, range(2, 7, 2)),
    **{
        kind: (_make_rows(kind), range(1, 7))
        for kind in ("sitting", "walking", "half_length", "portrait", "child", "back_turned")
    },
}
# Each built-in pose by its id, such as standing_3: who makes it, and of how many people.
PRESETS: dict[str, tuple[Make, int]] = {
    f"{group}_{count}": (make, count)
    for group, (make, counts) in GROUPS.items()
    for count in counts
}


def make_preset(name: str, width: int, height: int) -> np.ndarray:
    """Return the people (N, 18, 3) of a built-in pose in an image of the given size, in pixels."""
    make, count = PRESETS[name]
    return make(count, width, height)


def _put(kind: str, size: float, x: float, ground: float, *, mirrored: bool = False) -> np.ndarray:
    """Return a person (18, 3) of a kind, `size` pixels high if standing, on the ground at x."""
    table, bottom = KINDS[kind], BOTTOMS.get(kind, 1)
    if mirrored:
        table = table[MIRRORED] * [-1, 1]
    person = np.ones((len(STANDING), 3))
    person[:, 0] = x + table[:, 0] * size
    person[:, 1] = ground - (bottom - table[:, 1]) * size
    person[np.isnan(table[:, 0])] = 0
    return person


def to_pose_keypoint(people: np.ndarray, width: int, height: int) -> list[dict[str, Any]]:
    """Return people (N, 18, 3) in pixels as POSE_KEYPOINT with one frame."""
    bodies = [{"pose_keypoints_2d": person.flatten().tolist()} for person in people]
    return [{"canvas_width": width, "canvas_height": height, "people": bodies}]
