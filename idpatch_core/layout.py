"""Points in the output image: who appears where, which patches overlap, and arrangements."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

MAX_COORDINATE = 1e6  # pixels; a larger coordinate cannot be a point of an image
ASPECT_TOLERANCE = 0.02  # relative difference of aspect ratios up to which points can be rescaled


class Point(NamedTuple):
    """A point in output pixels; x to the right, y down, (0, 0) the top left corner."""

    x: float
    y: float


# A person's 18 joints as offsets in pixels from the point of the face, None where not seen.
Body = tuple[Point | None, ...]


class Placement(NamedTuple):
    """Where one person is to appear, and their body; without a point they are not in the image."""

    point: Point | None
    patch_strength: float = 1.0
    body: Body | None = None


class Head(NamedTuple):
    """A head found in a pose or an image: its nose, and how prominent the person is.

    `eye_distance` is in pixels, None where not both eyes were seen; `limbs` are the visible limbs
    of the skeleton, each from a point to a point.
    """

    point: Point
    prominence: float
    eye_distance: float | None = None
    limbs: tuple[tuple[Point, Point], ...] = ()


class Figure(NamedTuple):
    """A person in the image, in pixels: the nose, the radius of the head, the limbs of the body.

    The circle includes hair and ears. Without limbs the body is assumed to be upright.
    """

    point: Point
    radius: float
    limbs: tuple[tuple[Point, Point], ...] = ()


def has_same_aspect(size: tuple[float, float], other: tuple[float, float]) -> bool:
    """Tell whether two sizes (width, height) have the same aspect ratio, up to a tolerance."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= ASPECT_TOLERANCE


def rescale_points(
    points: Sequence[Point | None], size: tuple[int, int], new_size: tuple[int, int]
) -> list[Point | None]:
    """Return points of an image of `size` (width, height) in the pixels of one of `new_size`."""
    return [
        point and Point(point.x * new_size[0] / size[0], point.y * new_size[1] / size[1])
        for point in points
    ]


def is_inside(point: Point, width: int, height: int) -> bool:
    """Tell whether a person at this point gets a patch: rounded, it is a pixel of the image.

    Source: `modules/inferencer.py` of the reference, with positions kept in float32.
    """
    x, y = np.rint(np.array(point, dtype=np.float32))
    return bool(0 <= x < width and 0 <= y < height)


def outside(points: Sequence[Point | None], width: int, height: int) -> list[int]:
    """Return the indices of the people whose point lies outside the image."""
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
    """Return the pairs of people, as indices, whose patches overlap.

    `patch_size` is the side of all patches in pixels, or of each.
    """
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


def assign_left_to_right(
    heads: Sequence[Head], names: Sequence[str], source: str, noun: str
) -> tuple[list[Point], list[Head]]:
    """Assign a head to each person, in their order, from left to right.

    Where there are more heads than people, the most prominent are used. Returns the points and,
    left to right, the unused heads. Raises a ValueError that names the input `source`, and what
    was found there as the `noun`, when there are too few.
    """
    if len(heads) < len(names):
        advice = "Connect an image that shows as many people"
        if noun == "pose":
            advice = f"Choose a pose of {count_people(len(names))}, for example in Load Pose"
        raise ValueError(
            f"{source}: {count_of(len(heads), noun)} found for {join_names(names)}. {advice}, "
            "place them by hand on the Patch Placer, or choose another arrangement."
        )
    ranked = rank_heads(heads)

    def from_left(some: list[Head]) -> list[Head]:
        return sorted(some, key=lambda head: head.point)

    used, unused = from_left(ranked[: len(names)]), from_left(ranked[len(names) :])
    return [head.point for head in used], unused


def rank_heads(heads: Sequence[Head]) -> list[Head]:
    """Return heads, the most prominent first."""
    return sorted(heads, key=lambda head: -head.prominence)


def find_nearest_head(point: Point | None, heads: Sequence[Head], reach: float) -> Head | None:
    """Return the head nearest to a point, if one is within `reach` pixels."""
    if point is None or not heads:
        return None
    nearest = min(heads, key=lambda head: math.dist(head.point, point))
    return nearest if math.dist(nearest.point, point) <= reach else None


def arrange_people(
    arrangement: str,
    given: Sequence[Placement],
    poses: Sequence[Head] | None,
    faces: Sequence[Head] | None,
    names: Sequence[str],
    width: int,
    height: int,
    patch_size: int,
    photo: str = "reference_image",
) -> tuple[list[Placement], list[str]]:
    """Return each person's placement, and a warning for each unused pose or face.

    `arrangement` is one of ARRANGEMENT_IDS; `given` the placements JSON's; `poses` and `faces` the
    heads found, None where the input is not connected; `photo` is the input of the faces. Raises a
    ValueError where the arrangement lacks what it needs.
    """
    if arrangement == AUTO_ARRANGEMENT:
        arrangement = FROM_PLACEMENTS if given else "row" if poses is None else FROM_POSE
    if arrangement in ARRANGEMENTS:
        points = ARRANGEMENTS[arrangement](len(names), width, height, patch_size)
        return [Placement(point) for point in points], []
    if arrangement == FROM_PLACEMENTS:
        if not given:
            raise ValueError(
                "placements: it is empty, but arrangement is 'placements'. Give each person a "
                "placement, or set arrangement to 'auto'."
            )
        return list(given), []
    if arrangement not in (FROM_POSE, FROM_FACES):
        raise ValueError(
            f"arrangement: expected one of {', '.join(ARRANGEMENT_IDS)}, got {arrangement!r}."
        )
    heads, source, noun = (
        (poses, "pose_keypoint", "pose") if arrangement == FROM_POSE else (faces, photo, "face")
    )
    if heads is None:
        raise ValueError(
            f"arrangement: '{arrangement}' needs {source}, which is not connected. Connect it or "
            "choose another arrangement."
        )
    points, unused = assign_left_to_right(heads, names, source, noun)
    drawn = ", but is drawn: the image may show someone else there" if noun == "pose" else ""
    warnings = [
        f"{source}: {len(heads)} {noun}s found for {count_people(len(names))}; the smallest or "
        f"least certain, at {head.point.x:.0f}, {head.point.y:.0f}, has no person{drawn}."
        for head in unused
    ]
    return [Placement(point) for point in points], warnings


def warn_about_placements(
    points: Sequence[Point | None],
    names: Sequence[str],
    width: int,
    height: int,
    patch_sizes: Sequence[int],
    divided: bool = False,
) -> list[str]:
    """Return a warning for each person outside the image and each pair of overlapping patches."""
    people = [f"person {number} ({name})" for number, name in enumerate(names, start=1)]
    warnings = [
        f"{people[index]} is outside the image and gets no patch."
        for index in outside(points, width, height)
    ]
    warnings += [
        f"The patches of {people[first]} and {people[second]} overlap and "
        f"{'are divided' if divided else 'add up'}; "
        f"place them {(patch_sizes[first] + patch_sizes[second]) // 2} pixels apart."
        for first, second in overlapping(points, width, height, patch_sizes)
    ]
    return warnings


def row(count: int, width: int, height: int, patch_size: int = 64) -> list[Point]:
    """Place people in one row, or in as many as keep the patches apart in a narrow image."""
    return _rows(count, width, height, patch_size, 1)


def two_rows(count: int, width: int, height: int, patch_size: int = 64) -> list[Point]:
    """Place people in two rows, the back one first, or in more where the image is narrow."""
    return _rows(count, width, height, patch_size, min(2, count))


def arc(count: int, width: int, height: int, patch_size: int = 64) -> list[Point]:
    """Place people in a row that hangs down at both ends; as rows in a narrow image."""
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
    "two_rows": two_rows,
    "arc": arc,
}
AUTO_ARRANGEMENT, FROM_PLACEMENTS, FROM_POSE, FROM_FACES = "auto", "placements", "pose", "faces"
ARRANGEMENT_IDS = [AUTO_ARRANGEMENT, FROM_PLACEMENTS, FROM_POSE, FROM_FACES, *ARRANGEMENTS]


def _rows(count: int, width: int, height: int, patch_size: int, least: int) -> list[Point]:
    across = max(width // patch_size, 1)
    rows = max(least, math.ceil(count / across))
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


def count_of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def count_people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def join_names(names: Sequence[str]) -> str:
    """Return "2 people (Ann, Bob)"."""
    return f"{count_people(len(names))} ({', '.join(names)})"
