"""OpenPose skeletons: reads and draws them, and finds their heads.

People are (N, 18, 3) float64: x and y in pixels and a score for each OpenPose-18 joint; a score of
0 says that the joint was not seen.
"""

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from .layout import MAX_COORDINATE, Head, Point
from .opencv import import_cv2


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
# The COCO index of each OpenPose joint; 17 stands for the neck, which COCO lacks.
COCO_ORDER = [0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]


class Frame(NamedTuple):
    """The people (N, 18, 3) of one image, and the image's size in pixels."""

    people: np.ndarray
    width: int
    height: int

    def scaled_to(self, width: int, height: int) -> np.ndarray:
        """Return the people (N, 18, 3) in the pixels of an image of another size."""
        return self.people * [width / self.width, height / self.height, 1.0]


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


def read_pose_keypoint(pose: Any) -> list[Frame]:
    """Read POSE_KEYPOINT: a list of frames as pose nodes output them, or a single frame.

    A frame is a dict with `canvas_width`, `canvas_height` and `people`, each with
    `pose_keypoints_2d`: 18 times x, y, score in pixels, or normalised to the canvas where no value
    leaves [0, 2]. Raises a ValueError that names the frame and the person otherwise.
    """
    frames = [pose] if isinstance(pose, dict) else pose
    if not isinstance(frames, (list, tuple)) or not frames:
        raise ValueError(
            f"pose_keypoint: expected a list of frames, got {_kind(pose)}. "
            "Connect the POSE_KEYPOINT output of a pose node."
        )
    if len(frames) == 1:
        return [_read_frame(frames[0], "pose_keypoint")]
    return [
        _read_frame(frame, f"pose_keypoint: frame {number}")
        for number, frame in enumerate(frames, start=1)
    ]


def _read_frame(frame: Any, where: str) -> Frame:
    if not isinstance(frame, dict):
        raise ValueError(f"{where}: expected a dict with people and canvas, got {_kind(frame)}.")
    width, height = (_read_side(frame.get(key), f"{where}: {key}") for key in _CANVAS)
    people = frame.get("people")
    if not isinstance(people, (list, tuple)):
        raise ValueError(f"{where}: people must be a list, got {_kind(people)}.")
    read = [
        _read_body(person, f"{where}: person {number}")
        for number, person in enumerate(people, start=1)
    ]
    array = np.array(read, dtype=np.float64).reshape(-1, len(Joint), 3)
    if array.size and np.abs(array[..., :2]).max() <= 2:  # normalised: no body has two pixels
        array[..., :2] *= [width, height]
    return Frame(array, width, height)


_CANVAS = ("canvas_width", "canvas_height")


def _read_side(value: Any, where: str) -> int:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 1 <= value <= MAX_COORDINATE:
        raise ValueError(f"{where} must be the image's size in pixels, got {value!r}.")
    return int(value)


def _read_body(person: Any, where: str) -> np.ndarray:
    if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
        raise ValueError(f"{where}: expected a dict with pose_keypoints_2d, got {_kind(person)}.")
    values = person["pose_keypoints_2d"]
    try:
        array = np.array(values if values is not None else [], dtype=np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: pose_keypoints_2d must hold numbers alone.") from None
    if array.size == 0:
        return np.zeros((len(Joint), 3))
    if array.size != len(Joint) * 3:
        raise ValueError(
            f"{where}: pose_keypoints_2d has {array.size} values, expected {len(Joint) * 3} "
            "(OpenPose-18: x, y and score of 18 joints). Choose that format in the pose node."
        )
    if not np.isfinite(array).all() or np.abs(array).max() > MAX_COORDINATE:
        raise ValueError(f"{where}: pose_keypoints_2d holds NaN, infinity or a huge value.")
    array = array.reshape(len(Joint), 3)
    return np.where(array[:, 2:] > 0, array, 0.0)  # joints that were not seen have no point


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, list(value)[:6])) or 'nothing'}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return "nothing" if value is None else type(value).__name__


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
    return Head(Point(*map(float, point)), float(person[:, 2].mean()) * extent, eye_distance)


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
