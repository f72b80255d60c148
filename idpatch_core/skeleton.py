"""OpenPose skeletons: reading them, drawing them, and where a skeleton's nose is.

People are (N, 18, 3) float64: x and y in pixels and a score for each OpenPose-18 keypoint; a score
of 0 says that the keypoint was not seen.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .face_detector import import_cv2
from .layout import LARGEST, Head, Point

NOSE, NECK = 0, 1
R_SHOULDER, L_SHOULDER = 2, 5
EYES, EARS = [14, 15], [16, 17]
KEYPOINTS = 18
VISIBLE = 0.3  # a keypoint counts from above this score

RADIUS = 4
STICK_WIDTH = 4
STICKS_SHARE = 0.6  # of the drawing; the rest is the same picture without sticks

LIMBS = [
    *[(1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)],
    *[(1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)],
]
COLOURS = [
    *[[255, 0, 0], [255, 85, 0], [255, 170, 0], [255, 255, 0], [170, 255, 0], [85, 255, 0]],
    *[[0, 255, 0], [0, 255, 85], [0, 255, 170], [0, 255, 255], [0, 170, 255], [0, 85, 255]],
    *[[0, 0, 255], [85, 0, 255], [170, 0, 255], [255, 0, 255], [255, 0, 170], [255, 0, 85]],
]
# For each OpenPose keypoint the COCO one; 17 stands for the neck, which COCO lacks.
COCO_ORDER = [0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]


class Frame(NamedTuple):
    """The people of one picture, (N, 18, 3), and the size of the picture they were found in."""

    people: np.ndarray
    width: int
    height: int

    def scaled_to(self, width: int, height: int) -> np.ndarray:
        """Return the people (N, 18, 3) in the pixels of a picture of another size."""
        return self.people * [width / self.width, height / self.height, 1.0]


def coco17_to_openpose18(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Order COCO-17 people as OpenPose-18 and add the neck, the middle of the shoulders.

    `keypoints` (N, 17, 2) in pixels, `scores` (N, 17). Returns (N, 18, 3) float64. The neck has the
    lower score of both shoulders. Source: `utils/draw_condition.py` of the reference.
    """
    people = np.concatenate([keypoints, scores[..., None]], axis=-1).astype(np.float64)
    left, right = people[:, 5], people[:, 6]
    neck = (left + right) / 2
    neck[:, 2] = np.minimum(left[:, 2], right[:, 2])
    return np.concatenate([people, neck[:, None]], axis=1)[:, COCO_ORDER]


def read_pose_keypoint(pose: Any) -> list[Frame]:
    """Read POSE_KEYPOINT: a list of frames as pose nodes make them, or a single frame.

    A frame is a dict with `canvas_width`, `canvas_height` and `people`, each with
    `pose_keypoints_2d`: 18 times x, y, score in pixels, or in shares of the canvas where no value
    leaves [0, 2]. Raises a ValueError that names the frame and the person otherwise.
    """
    frames = [pose] if isinstance(pose, dict) else pose
    if not isinstance(frames, (list, tuple)) or not frames:
        raise ValueError(
            f"pose_keypoint: expected a list of frames, got {_kind(pose)}. "
            "Connect the POSE_KEYPOINT output of a pose node."
        )
    return [
        _frame(frame, "pose_keypoint" if len(frames) == 1 else f"pose_keypoint: frame {number}")
        for number, frame in enumerate(frames, start=1)
    ]


def _frame(frame: Any, where: str) -> Frame:
    if not isinstance(frame, dict):
        raise ValueError(f"{where}: expected a dict with people and canvas, got {_kind(frame)}.")
    width, height = (_side(frame.get(key), f"{where}: {key}") for key in _CANVAS)
    people = frame.get("people")
    if not isinstance(people, (list, tuple)):
        raise ValueError(f"{where}: people must be a list, got {_kind(people)}.")
    read = [
        _person(person, f"{where}: person {number}")
        for number, person in enumerate(people, start=1)
    ]
    array = np.array(read, dtype=np.float64).reshape(-1, KEYPOINTS, 3)
    if array.size and np.abs(array[..., :2]).max() <= 2:  # no body fits into two pixels
        array[..., :2] *= [width, height]
    return Frame(array, width, height)


_CANVAS = ("canvas_width", "canvas_height")


def _side(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= LARGEST:
        raise ValueError(f"{where} must be the picture's size in pixels, got {value!r}.")
    return int(value)


def _person(person: Any, where: str) -> np.ndarray:
    if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
        raise ValueError(f"{where}: expected a dict with pose_keypoints_2d, got {_kind(person)}.")
    values = person["pose_keypoints_2d"]
    try:
        array = np.array(values if values is not None else [], dtype=np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: pose_keypoints_2d holds something that is no number.") from None
    if array.size == 0:
        return np.zeros((KEYPOINTS, 3))
    if array.size != KEYPOINTS * 3:
        raise ValueError(
            f"{where}: pose_keypoints_2d has {array.size} values, expected {KEYPOINTS * 3} "
            "(OpenPose-18: x, y and score of 18 keypoints). Choose that format in the pose node."
        )
    if not np.isfinite(array).all() or np.abs(array).max() > LARGEST:
        raise ValueError(f"{where}: pose_keypoints_2d holds NaN, infinity or a huge value.")
    array = array.reshape(KEYPOINTS, 3)
    return np.where(array[:, 2:] > 0, array, 0.0)  # what was not seen is nowhere


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, list(value)[:6])) or 'nothing'}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return "nothing" if value is None else type(value).__name__


def find_head(person: np.ndarray) -> Head | None:
    """Return where the nose of one person (18, 3) is, estimated where it was not seen.

    The first that is visible counts: nose, middle of the eyes, middle of the ears, an uncertain
    nose, a place above neck and shoulders. Returns None where none is.
    """
    point = _nose(person)
    if point is None:
        return None
    seen = person[person[:, 2] > 0]
    extent = float(np.ptp(seen[:, :2], axis=0).max())
    right, left = person[14], person[15]
    eyes = float(np.linalg.norm(right[:2] - left[:2])) if right[2] > 0 and left[2] > 0 else None
    return Head(Point(*map(float, point)), float(person[:, 2].mean()) * extent, eyes)


def _nose(person: np.ndarray) -> np.ndarray | None:
    place, score = person[:, :2], person[:, 2]
    for part in ([NOSE], EYES, EARS):
        visible = [index for index in part if score[index] > VISIBLE]
        if visible:
            return place[visible].mean(axis=0)
    if score[NOSE] > 0:
        return place[NOSE]
    if min(score[[NECK, R_SHOULDER, L_SHOULDER]]) > VISIBLE:
        shoulders = math.dist(place[R_SHOULDER], place[L_SHOULDER])
        return place[NECK] - [0, 0.7 * shoulders]
    return None


def draw_openpose(people: np.ndarray, width: int, height: int) -> np.ndarray:
    """Draw OpenPose-18 people (N, 18, 3) on black, exactly as ID-Patch was trained to see them.

    Returns (height, width, 3) uint8 RGB. A keypoint is drawn only as an end of a limb. Source:
    `utils/draw_condition.py` of the reference.
    """
    cv2 = import_cv2()
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for person in people:
        visible = person[:, 2] > VISIBLE
        ends = {end for limb in LIMBS if visible[list(limb)].all() for end in limb}
        for keypoint in sorted(ends):
            x, y = map(int, person[keypoint, :2])
            cv2.circle(picture, (x, y), RADIUS, COLOURS[keypoint], cv2.FILLED)
    sticks = picture.copy()
    for person in people:
        for colour, (a, b) in zip(COLOURS, LIMBS, strict=False):
            if min(person[[a, b], 2]) > VISIBLE:
                cv2.fillConvexPoly(sticks, _stick(cv2, person[a, :2], person[b, :2]), colour)
    return cv2.addWeighted(picture, 1 - STICKS_SHARE, sticks, STICKS_SHARE, 0)


def _stick(cv2: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the corners of an ellipse from a to b."""
    x, y = map(int, (a + b) / 2)
    angle = int(math.degrees(math.atan2(*(a - b)[::-1])))
    return cv2.ellipse2Poly((x, y), (int(math.dist(a, b) / 2), STICK_WIDTH), angle, 0, 360, 1)
