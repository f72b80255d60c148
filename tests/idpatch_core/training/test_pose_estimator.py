"""rtmlib estimates poses, and each face gets its own.

The two networks are made by the test; what is between them is rtmlib's.
"""

from pathlib import Path

import numpy as np
import pytest
from pose_models import BOXES, DETECTOR_SIDE, write_network, write_pose_models

from idpatch_core.training.pose_estimator import DETECTOR_FILE, PoseEstimator, match_poses


def test_a_pose_is_found_in_each_box(tmp_path: Path):
    estimator = PoseEstimator(write_pose_models(tmp_path))
    poses = estimator.find(np.zeros((128, 128, 3), np.uint8))  # twice the detector's size
    assert poses.shape == (2, 18, 3)
    centres = [(x0 + x1) for x0, _, x1, _ in BOXES]
    np.testing.assert_allclose(poses[:, 0, 0], centres, atol=1)
    assert (poses[:, 0, 1] < poses[:, 1, 1]).all()  # the nose above the neck
    np.testing.assert_allclose(poses[..., 2], 0.8, atol=1e-6)


def test_each_face_gets_one_pose_and_the_rest_are_dropped():
    poses = np.zeros((4, 18, 3))
    poses[:, 0] = [[10, 10, 0.5], [12, 12, 0.9], [50, 10, 0.7], [90, 90, 0.9]]
    first, second, third = match_poses(
        poses, [np.array(box) for box in ([5, 5, 20, 20], [40, 5, 60, 20], [70, 5, 80, 20])]
    )
    assert first is not None and first[0, 2] == 0.9
    assert second is not None and second[0, 0] == 50
    assert third is None
    assert match_poses(np.zeros((0, 18, 3)), [np.array([0, 0, 9, 9])]) == [None]


def test_missing_models_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"there is no .*detector\.onnx\. Expected lightweight"):
        PoseEstimator(tmp_path)
    size = (DETECTOR_SIDE, DETECTOR_SIDE)
    write_network(tmp_path / DETECTOR_FILE, size, {"boxes": np.zeros((1, 1, 5))})
    with pytest.raises(ValueError, match=r"there is no .*pose\.onnx"):
        PoseEstimator(tmp_path)
