"""Reads POSE_KEYPOINT as pose nodes output and save it."""

from typing import Any, NamedTuple

import numpy as np

from .describe import describe_value
from .layout import MAX_COORDINATE
from .skeleton import BODY_25_ORDER, Joint, coco17_to_openpose18

FORMATS = {54: "OpenPose-18", 75: "BODY_25", 51: "COCO-17"}  # by the number of values
# A body of several joints all of which lie within so many pixels is normalised to the canvas,
# though it reaches outside.
SEVERAL_JOINTS, FARTHEST_SHARE = 3, 10


class Frame(NamedTuple):
    """The people (N, 18, 3) of one image, and the image's size in pixels."""

    people: np.ndarray
    width: int
    height: int

    def scaled_to(self, width: int, height: int) -> np.ndarray:
        """Return the people (N, 18, 3) in the pixels of an image of another size."""
        return self.people * [width / self.width, height / self.height, 1.0]


def read_pose_keypoint(pose: Any) -> list[Frame]:
    """Read POSE_KEYPOINT: a list of frames as pose nodes output them, or a single frame.

    A frame is a dict with `canvas_width`, `canvas_height` and `people`, each with
    `pose_keypoints_2d`: x, y and score of each joint, in pixels or normalised to the canvas. The
    joints are those of OpenPose-18, or of BODY_25 or COCO-17, which are converted. Raises a
    ValueError that names the frame and the person otherwise.
    """
    frames = [pose] if isinstance(pose, dict) else pose
    if not isinstance(frames, (list, tuple)) or not frames:
        raise ValueError(
            f"pose_keypoint: expected a list of frames, got {describe_value(pose)}. "
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
        raise ValueError(
            f"{where}: expected an object with people and canvas, got {describe_value(frame)}."
        )
    if foreign := _name_foreign(frame):
        raise ValueError(f"{where}: {foreign}")
    width, height = (_read_side(frame.get(key), f"{where}: {key}") for key in _CANVAS)
    people = frame.get("people")
    if not isinstance(people, (list, tuple)):
        raise ValueError(f"{where}: people must be a list, got {describe_value(people)}.")
    read = [
        _read_keypoints(person, f"{where}: person {number}")
        for number, person in enumerate(people, start=1)
    ]
    array = np.array(read, dtype=np.float64).reshape(-1, len(Joint), 3)
    if _is_normalised(array):
        array[..., :2] *= [width, height]
    return Frame(array, width, height)


_CANVAS = ("canvas_width", "canvas_height")


def _name_foreign(frame: dict[str, Any]) -> str | None:
    """Return what to do about a frame of another format, or None if it looks like ours."""
    if "animals" in frame:
        return "it holds animals. Connect a pose node for people, such as DWPose."
    if all(key in frame for key in _CANVAS):
        return None
    if "people" in frame and "version" in frame:
        return (
            "it is OpenPose's own JSON, which does not say the image's size. Add canvas_width and "
            "canvas_height in pixels to it."
        )
    if "keypoints" in frame:
        return (
            f"it is {describe_value(frame)}, COCO annotations or another pose format. Give canvas_"
            "width, canvas_height and people with pose_keypoints_2d, as DWPose saves them."
        )
    return None


def _is_normalised(people: np.ndarray) -> bool:
    """Tell whether people are normalised to the canvas: in pixels no body is this small."""
    if not people.size:
        return False
    several = ((people[..., 2] > 0).sum(axis=1) >= SEVERAL_JOINTS).any()
    return bool(np.abs(people[..., :2]).max() <= (FARTHEST_SHARE if several else 2))


def _read_side(value: Any, where: str) -> int:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 1 <= value <= MAX_COORDINATE:
        raise ValueError(f"{where} must be the image's size in pixels, got {value!r}.")
    return int(value)


def _read_keypoints(person: Any, where: str) -> np.ndarray:
    if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
        raise ValueError(
            f"{where}: expected an object with pose_keypoints_2d, got {describe_value(person)}."
        )
    values = person["pose_keypoints_2d"]
    try:
        array = np.array(values if values is not None else [], dtype=np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: pose_keypoints_2d must hold numbers alone.") from None
    if array.size == 0:
        return np.zeros((len(Joint), 3))
    if array.size not in FORMATS:
        known = " or ".join(f"{size} ({name})" for size, name in FORMATS.items())
        raise ValueError(
            f"{where}: pose_keypoints_2d has {array.size} values, expected {known}: x, y and score "
            "of each joint. Choose one of these formats in the pose node."
        )
    array = array.reshape(-1, 3)
    # Joints that were not seen have no point: null, which is NaN here, or 0.
    array = np.where(array[:, 2:] > 0, array, 0.0)
    if not np.isfinite(array).all() or np.abs(array).max() > MAX_COORDINATE:
        raise ValueError(f"{where}: pose_keypoints_2d holds NaN, infinity or a huge value.")
    if FORMATS[array.size] == "BODY_25":
        return array[BODY_25_ORDER]
    if FORMATS[array.size] == "COCO-17":
        return coco17_to_openpose18(array[None, :, :2], array[None, :, 2])[0]
    return array
