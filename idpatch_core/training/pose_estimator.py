"""Finds the poses of people with rtmlib, as the released pipeline does.

rtmlib runs YOLOX and RTMPose (Jiang et al., arXiv 2303.07399) in onnxruntime. Install it with
`pip install rtmlib`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..face_detector import check_picture
from ..skeleton import coco17_to_openpose18

SIZES = ("lightweight", "balanced", "performance")  # of rtmlib's models, which it downloads
DETECTOR, POSE = "detector.onnx", "pose.onnx"  # in a folder of one's own


class PoseEstimator:
    """rtmlib's `Body`: `models` is one of SIZES, or a folder with DETECTOR and POSE.

    Raises ImportError without rtmlib, ValueError for a folder without these files.
    """

    def __init__(self, models: str | Path, device: str = "cpu"):
        try:
            from rtmlib import Body
        except ImportError as error:
            raise ImportError(
                f"poses: rtmlib cannot be used ({error}). Install it with `pip install rtmlib`."
            ) from error
        if models in SIZES:
            self._body = Body(mode=str(models), device=device)
            return
        files = [Path(models) / name for name in (DETECTOR, POSE)]
        for file in files:
            if not file.is_file():
                raise ValueError(
                    f"poses: there is no {file}. Expected {', '.join(SIZES)}, or a folder with "
                    f"{DETECTOR} (YOLOX) and {POSE} (RTMPose)."
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
        """Return the poses (N, 18, 3), x, y and score, in a picture (H, W, 3) uint8 RGB.

        Where nobody is found rtmlib takes the whole picture for one person: see `of_faces`.
        """
        check_picture(image)
        keypoints, scores = self._body(np.ascontiguousarray(image[..., ::-1]))
        return coco17_to_openpose18(np.asarray(keypoints), np.asarray(scores))


def of_faces(poses: np.ndarray, boxes: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """Return, for each face's box (4), the pose whose nose is in it, the surest if several.

    A pose belongs to one face alone; what has no face, such as a statue or nobody, is left out.
    """
    left = list(np.argsort(-poses[:, 0, 2])) if len(poses) else []
    found: list[np.ndarray | None] = []
    for x0, y0, x1, y1 in boxes:
        inside = [i for i in left if x0 <= poses[i, 0, 0] <= x1 and y0 <= poses[i, 0, 1] <= y1]
        found.append(poses[inside[0]] if inside else None)
        left = [i for i in left if i not in inside[:1]]
    return found


def _input_size(file: Path) -> tuple[int, int]:
    """Return the height and width that a network expects."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    if len(shape) != 4 or not all(isinstance(side, int) for side in shape[2:]):
        raise ValueError(
            f"poses: {file} takes pictures of {shape}, expected a fixed height and width. Export "
            "it with a fixed size."
        )
    return shape[2], shape[3]
