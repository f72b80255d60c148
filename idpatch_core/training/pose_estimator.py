"""Estimates poses with rtmlib, as the released pipeline does.

rtmlib runs YOLOX and RTMPose (Jiang et al., arXiv 2303.07399) in onnxruntime. Install it with
`pip install rtmlib`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..opencv import check_image
from ..skeleton import Joint, coco17_to_openpose18

RTMLIB_MODELS = ("lightweight", "balanced", "performance")  # rtmlib downloads them
DETECTOR_FILE, POSE_FILE = "detector.onnx", "pose.onnx"  # in a folder of the user's


class PoseEstimator:
    """rtmlib's `Body`: `models` is one of RTMLIB_MODELS, or a folder with two ONNX files.

    Raises ImportError without rtmlib, ValueError for a folder without DETECTOR_FILE or POSE_FILE.
    """

    def __init__(self, models: str | Path, device: str = "cpu"):
        try:
            from rtmlib import Body
        except ImportError as error:
            raise ImportError(
                f"poses: rtmlib cannot be used ({error}). Install it with `pip install rtmlib`."
            ) from error
        if models in RTMLIB_MODELS:
            self._body = Body(mode=str(models), device=device)
            return
        files = [Path(models) / name for name in (DETECTOR_FILE, POSE_FILE)]
        for file in files:
            if not file.is_file():
                raise ValueError(
                    f"poses: there is no {file}. Expected {', '.join(RTMLIB_MODELS)}, or a folder "
                    f"with {DETECTOR_FILE} (YOLOX) and {POSE_FILE} (RTMPose)."
                )
        (det_height, det_width), (height, width) = map(_input_size, files)
        self._body = Body(
            det=str(files[0]),
            det_input_size=(det_height, det_width),
            pose=str(files[1]),
            pose_input_size=(width, height),
            device=device,
        )

    def find(self, image: np.ndarray) -> np.ndarray:
        """Return the poses (N, 18, 3), x, y and score, in an image (H, W, 3) uint8 RGB.

        If rtmlib finds no one, it returns one pose for the whole image; `match_poses` drops it.
        """
        check_image(image)
        keypoints, scores = self._body(np.ascontiguousarray(image[..., ::-1]))
        return coco17_to_openpose18(np.asarray(keypoints), np.asarray(scores))


def match_poses(poses: np.ndarray, boxes: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """Return, for each face's box (4), the pose whose nose is in it, the most certain if several.

    A pose is used for one face only. Poses without a face, such as a statue's, are dropped.
    """
    remaining = list(np.argsort(-poses[:, Joint.NOSE, 2])) if len(poses) else []
    matched: list[np.ndarray | None] = []
    for left, top, right, bottom in boxes:
        inside = [
            i
            for i in remaining
            if left <= poses[i, Joint.NOSE, 0] <= right and top <= poses[i, Joint.NOSE, 1] <= bottom
        ]
        matched.append(poses[inside[0]] if inside else None)
        remaining = [i for i in remaining if i not in inside[:1]]
    return matched


def _input_size(file: Path) -> tuple[int, int]:
    """Return a network's input height and width."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    if len(shape) != 4 or not all(isinstance(side, int) for side in shape[2:]):
        raise ValueError(
            f"poses: {file} takes images of {shape}, expected a fixed height and width. Export it "
            "with a fixed size."
        )
    return shape[2], shape[3]
