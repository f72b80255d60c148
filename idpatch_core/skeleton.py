"""OpenPose skeletons: draws them, and finds their heads.

People are (N, 18, 3) float64: x and y in pixels and a score for each OpenPose-18 joint; a score of
0 says that the joint was not seen.
"""

import math
from enum import IntEnum
from typing import Any

import numpy as np

from .layout import Head, Point
from .opencv import import_cv2

# A face's width is about this multiple of the distance of its eyes: in ArcFace's aligned crop of
# 112 pixels it is 0.66 of the crop, the eyes 35 pixels apart (insightface's `arcface_dst`).
FACE_TO_EYES = 2.1


class Joint(IntEnum):
    """The keypoints of OpenPose-18, by their index; left and right are the person's own."""

    NOSE = 0
    NECK = 1
    R_SHOULDER = 2
    R_ELBOW = 3
    R_WRIST = 4
    L_SHOULDER = 5
    L_ELBOW = 6
    L_WRIST = 7
    R_HIP = 8
    R_KNEE = 9
    R_ANKLE = 10
    L_HIP = 11
    L_KNEE = 12
    L_ANKLE = 13
    R_EYE = 14
    L_EYE = 15
    R_EAR = 16
    L_EAR = 17


VISIBLE = 0.3  # a joint is visible above this score

RADIUS = 4
STICK_WIDTH = 4
STICK_OPACITY = 0.6

LIMBS = [
    *[(1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)],
    *[(1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)],
]
JOINT_COLOURS = [
    *[[255, 0, 0], [255, 85, 0], [255, 170, 0], [255, 255, 0], [170, 255, 0], [85, 255, 0]],
    *[[0, 255, 0], [0, 255, 85], [0, 255, 170], [0, 255, 255], [0, 170, 255], [0, 85, 255]],
    *[[0, 0, 255], [85, 0, 255], [170, 0, 255], [255, 0, 255], [255, 0, 170], [255, 0, 85]],
]
# The index of each OpenPose joint in BODY_25, and in COCO, where 17 stands for the neck that it
# lacks.
BODY_25_ORDER = [*range(8), *range(9, 19)]
COCO_ORDER = [0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]


def coco17_to_openpose18(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Convert COCO-17 people to OpenPose-18; the neck is the middle of the shoulders.

    `keypoints` (N, 17, 2) in pixels, `scores` (N, 17). Returns (N, 18, 3) float64. The neck gets
    the lower of the shoulders' scores. Source: `utils/draw_condition.py` of the reference.
    """
    people = np.concatenate([keypoints, scores[..., None]], axis=-1).astype(np.float64)
    left, right = people[:, 5], people[:, 6]
    neck = (left + right) / 2
    neck[:, 2] = np.minimum(left[:, 2], right[:, 2])
    return np.concatenate([people, neck[:, None]], axis=1)[:, COCO_ORDER]


def find_head(person: np.ndarray) -> Head | None:
    """Return the head of one person (18, 3); its nose is estimated if it was not seen.

    The first that is visible counts: nose, middle of the eyes, middle of the ears, an uncertain
    nose, a point above neck and shoulders. Returns None if none is.
    """
    point = _estimate_nose(person)
    if point is None:
        return None
    seen = person[person[:, 2] > 0]
    extent = float(np.ptp(seen[:, :2], axis=0).max())
    right, left = person[Joint.R_EYE], person[Joint.L_EYE]
    both = right[2] > 0 and left[2] > 0
    eye_distance = float(np.linalg.norm(right[:2] - left[:2])) if both else None
    limbs = tuple(
        (Point(*map(float, person[a, :2])), Point(*map(float, person[b, :2])))
        for a, b in LIMBS
        if min(person[[a, b], 2]) > VISIBLE
    )
    prominence = float(person[:, 2].mean()) * extent
    return Head(Point(*map(float, point)), prominence, eye_distance, limbs)


def find_heads(people: np.ndarray) -> tuple[list[Head], list[str]]:
    """Return the heads of people (N, 18, 3), and a warning for each person without one."""
    heads = [find_head(person) for person in people]
    warnings = [
        f"pose_keypoint: person {number} shows neither a head nor shoulders, and is not used."
        for number, head in enumerate(heads, start=1)
        if head is None
    ]
    return [head for head in heads if head is not None], warnings


def _estimate_nose(person: np.ndarray) -> np.ndarray | None:
    points, scores = person[:, :2], person[:, 2]
    for part in (
        [Joint.NOSE],
        [Joint.R_EYE, Joint.L_EYE],
        [Joint.R_EAR, Joint.L_EAR],
    ):
        visible = [joint for joint in part if scores[joint] > VISIBLE]
        if visible:
            return points[visible].mean(axis=0)
    if scores[Joint.NOSE] > 0:
        return points[Joint.NOSE]
    if min(scores[[Joint.NECK, Joint.R_SHOULDER, Joint.L_SHOULDER]]) > VISIBLE:
        shoulders = math.dist(points[Joint.R_SHOULDER], points[Joint.L_SHOULDER])
        return points[Joint.NECK] - [0, 0.7 * shoulders]
    return None


def draw_openpose(people: np.ndarray, width: int, height: int) -> np.ndarray:
    """Draw OpenPose-18 people (N, 18, 3) on black, exactly as in ID-Patch's training data.

    Returns (height, width, 3) uint8 RGB. A joint is drawn only as an end of a limb. Source:
    `utils/draw_condition.py` of the reference.
    """
    cv2 = import_cv2()
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for person in people:
        visible = person[:, 2] > VISIBLE
        ends = {end for limb in LIMBS if visible[list(limb)].all() for end in limb}
        for joint in sorted(ends):
            x, y = map(int, person[joint, :2])
            cv2.circle(image, (x, y), RADIUS, JOINT_COLOURS[joint], cv2.FILLED)
    sticks = image.copy()
    for person in people:
        for colour, (a, b) in zip(JOINT_COLOURS, LIMBS, strict=False):
            if min(person[[a, b], 2]) > VISIBLE:
                cv2.fillConvexPoly(sticks, _stick(cv2, person[a, :2], person[b, :2]), colour)
    return cv2.addWeighted(image, 1 - STICK_OPACITY, sticks, STICK_OPACITY, 0)


def _stick(cv2: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the corners of an ellipse from a to b."""
    x, y = map(int, (a + b) / 2)
    angle = int(math.degrees(math.atan2(*(a - b)[::-1])))
    return cv2.ellipse2Poly((x, y), (int(math.dist(a, b) / 2), STICK_WIDTH), angle, 0, 360, 1)
