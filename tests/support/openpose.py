"""People in OpenPose's order of 18 keypoints."""

import numpy as np

NAMES = [
    *["nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist"],
    *["r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle"],
    *["r_eye", "l_eye", "r_ear", "l_ear"],
]


def person(**keypoints: tuple[float, float, float]) -> np.ndarray:
    """An OpenPose-18 person of whom only these keypoints were seen."""
    array = np.zeros((18, 3))
    for name, values in keypoints.items():
        array[NAMES.index(name)] = values
    return array
