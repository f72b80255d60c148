"""Bodies: a person's OpenPose joints relative to the point of the face, and the built-in kinds.

A body is 18 offsets in output pixels from the point of the face, None for a joint that is not
seen: it moves with the point, and its scale is a factor.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .layout import Body, Placement, Point
from .skeleton import FACE_TO_EYES, VISIBLE, Joint, find_head

Offset = tuple[float, float]

# A standing person, 1 high and facing the camera, in OpenPose-18 order: x from the middle of the
# body, y from the top of the head. The person's right is on the left of the image.
STANDING = np.array(
    [
        *[(0.0, 0.085), (0.0, 0.175)],  # nose, neck
        *[(-0.11, 0.18), (-0.14, 0.34), (-0.13, 0.49)],  # right shoulder, elbow, wrist
        *[(0.11, 0.18), (0.14, 0.34), (0.13, 0.49)],  # left
        *[(-0.065, 0.5), (-0.07, 0.73), (-0.075, 0.95)],  # right hip, knee, ankle
        *[(0.065, 0.5), (0.07, 0.73), (0.075, 0.95)],  # left
        *[(-0.018, 0.07), (0.018, 0.07), (-0.04, 0.08), (0.04, 0.08)],  # eyes, ears
    ]
)
FACE_Y = 0.085  # of the point of the face, from the top of the head
FACE_WIDTH = FACE_TO_EYES * 0.036  # of a standing person's height
BODY_WIDTH = 0.3  # of a person's height, arms included
GROUND = 0.96  # of the image's height, where the feet are
LEAST_FACE = 0.4  # of the patch's width; a body that is made to fit has no smaller face
# For each joint, its counterpart on the other side.
MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
UNSEEN = (math.nan, math.nan)


def _vary(right: Mapping[int, Offset], left: Mapping[int, Offset] | None = None) -> np.ndarray:
    """Return a standing person with other joints; without `left`, both sides are the same."""
    person = STANDING.copy()
    for joint, point in right.items():
        person[joint] = point
        if left is None and MIRRORED[joint] != joint:
            person[MIRRORED[joint]] = -point[0], point[1]
    for joint, point in (left or {}).items():
        person[joint] = point
    return person


# Each kind (18, 2) in the units of a standing person; NaN is a joint that is not seen.
KINDS: dict[str, np.ndarray] = {
    "standing": STANDING,
    "walking": _vary(
        {3: (-0.15, 0.33), 4: (-0.11, 0.46), 8: (-0.055, 0.5), 9: (-0.1, 0.71), 10: (-0.17, 0.9)},
        {6: (0.15, 0.34), 7: (0.18, 0.48), 11: (0.055, 0.5), 12: (0.085, 0.73), 13: (0.05, 0.95)},
    ),
    "sitting": _vary(
        {3: (-0.15, 0.33), 4: (-0.09, 0.47), 8: (-0.075, 0.49), 9: (-0.12, 0.6), 10: (-0.11, 0.85)}
    ),
    "half_length": _vary({9: UNSEEN, 10: UNSEEN}),
    "portrait": _vary({joint: UNSEEN for joint in (3, 4, 8, 9, 10)}),
    "back_turned": _vary(
        {
            **{joint: UNSEEN for joint in (Joint.NOSE, Joint.R_EYE)},
            **{2: (0.11, 0.18), 3: (0.14, 0.34), 4: (0.13, 0.49)},
            **{8: (0.065, 0.5), 9: (0.07, 0.73), 10: (0.075, 0.95), 16: (0.04, FACE_Y)},
        }
    ),
    "child": _vary(
        {
            **{1: (0.0, 0.165), 2: (-0.085, 0.17), 3: (-0.105, 0.27), 4: (-0.1, 0.36)},
            **{8: (-0.05, 0.38), 9: (-0.053, 0.51), 10: (-0.056, 0.64)},
        }
    ),
    "hugging": _vary({}, {6: (0.18, 0.26), 7: (0.29, 0.2)}),
}


def make_body(kind: str, height: float, mirrored: bool = False) -> Body:
    """Return a body of a built-in kind, `height` pixels high if the person stood."""
    offsets = (KINDS[kind] - [0.0, FACE_Y]) * height
    body = tuple(None if math.isnan(x) else Point(float(x), float(y)) for x, y in offsets)
    return mirror_body(body) if mirrored else body


def mirror_body(body: Body) -> Body:
    """Return a body as a mirror shows it, with the right and the left side exchanged."""
    return tuple(
        None if (offset := body[joint]) is None else Point(-offset.x, offset.y)
        for joint in MIRRORED
    )


def scale_body(body: Body | None, scale: float) -> Body | None:
    return body and tuple(
        None if offset is None else Point(offset.x * scale, offset.y * scale) for offset in body
    )


def fit_height(
    kind: str, point: Point, others: Sequence[Point], height: int, patch_size: int
) -> float:
    """Return the height at which a body of a kind fits under a face, in pixels.

    The face is as wide as its patch, or smaller where others stand near or the image, `height`
    pixels high, ends; but not smaller than a share of the patch.
    """
    most = patch_size / FACE_WIDTH
    below = float(np.nanmax(KINDS[kind][:, 1])) - FACE_Y
    limits = [math.dist(point, other) / BODY_WIDTH for other in others]
    limits.append((GROUND * height - point.y) / below)
    return max(min(most, *limits), LEAST_FACE * most)


def read_body(person: np.ndarray, head: Point) -> Body:
    """Return a person (18, 3) in pixels as a body under the point of the head."""
    return tuple(
        Point(float(x - head.x), float(y - head.y)) if score > VISIBLE else None
        for x, y, score in person
    )


def to_person(point: Point, body: Body) -> np.ndarray:
    """Return a body under a face as a person (18, 3), in hundredths of a pixel."""
    person = np.zeros((len(Joint), 3))
    for joint, offset in enumerate(body):
        if offset is not None:
            person[joint] = point.x + offset.x, point.y + offset.y, 1.0
    return np.round(person, 2)


def choose_people(
    placements: Sequence[Placement],
    poses: np.ndarray,
    kind: str | None,
    height: int,
    patch_size: int,
) -> np.ndarray:
    """Return the people (N, 18, 3) to draw in an image `height` pixels high.

    A person has the body of their placement, otherwise the pose at their point, otherwise a body
    of the built-in `kind`, if there is one. Where no one has a body of their own, all of `poses`
    (N, 18, 3) are drawn, as they are.
    """
    points = [placement.point for placement in placements]
    chosen, own = [], False
    for index, (point, placement) in enumerate(zip(points, placements, strict=True)):
        if point is None:
            continue
        person = None if placement.body else find_pose(point, poses, patch_size / 2)
        if person is None:
            body = placement.body
            if body is None and kind is not None:
                others = [p for i, p in enumerate(points) if p is not None and i != index]
                body = make_body(kind, fit_height(kind, point, others, height, patch_size))
            person = body and to_person(point, body)
            own = own or body is not None
        if person is not None:
            chosen.append(person)
    return np.array(chosen).reshape(-1, len(Joint), 3) if own else poses


def find_pose(point: Point, poses: np.ndarray, reach: float) -> np.ndarray | None:
    """Return the person of `poses` (N, 18, 3) whose head is nearest to a point, within `reach`."""
    near = []
    for index, person in enumerate(poses):
        head = find_head(person)
        if head is not None and (distance := math.dist(head.point, point)) <= reach:
            near.append((distance, index))
    return poses[min(near)[1]] if near else None
