"""Built-in poses: a row of standing people."""

from typing import Any

import numpy as np

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
BODY_WIDTH = 0.3  # of a person's height, arms included
HEIGHTS = (1.0, 0.93, 0.97, 0.91, 0.96, 0.94)  # of the tallest person, left to right
GROUND = 0.96  # of the image's height, where the feet are
PRESETS = {f"standing_{count}": count for count in range(1, len(HEIGHTS) + 1)}


def make_standing(count: int, width: int, height: int) -> np.ndarray:
    """Return people (count, 18, 3) side by side in an image of the given size, in pixels.

    Each has the same share of the width, and is as tall as that and the height allow.
    """
    space = width / count
    tallest = min(0.88 * height, space / BODY_WIDTH)
    people = np.ones((count, 18, 3))
    for i, person in enumerate(people):
        size = tallest * HEIGHTS[i]
        person[:, 0] = space * (i + 0.5) + STANDING[:, 0] * size
        person[:, 1] = GROUND * height - (1 - STANDING[:, 1]) * size
    return people


def to_pose_keypoint(people: np.ndarray, width: int, height: int) -> list[dict[str, Any]]:
    """Return people (N, 18, 3) in pixels as POSE_KEYPOINT with one frame."""
    bodies = [{"pose_keypoints_2d": person.flatten().tolist()} for person in people]
    return [{"canvas_width": width, "canvas_height": height, "people": bodies}]
