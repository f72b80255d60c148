"""rtmlib finds poses, and each face gets its own.

The two networks are made here: a detector that always sees two people, and a pose network that puts
every keypoint on a place of its own in each box. What is between them is rtmlib's.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from idpatch_core.training.pose_estimator import DETECTOR, POSE, PoseEstimator, of_faces
from idpatch_core.training.prepare import PrepareOptions, Rejected, look
from idpatch_core.training.sources import find_sources

SIDE = 64  # pixels of the detector's picture
WIDE, HIGH = 48, 64  # of the pose network's
PEOPLE = [[4, 10, 28, 60], [36, 10, 60, 60]]
NOSE_SHARE = 0.5, 0.25  # of the pose network's picture


def write_network(file: Path, size: tuple[int, int], outputs: dict[str, np.ndarray]) -> None:
    """Write an ONNX network that gives `outputs` for every picture of (height, width)."""
    shape = [1, 3, *size]
    nodes, constants = [], []
    for name, value in outputs.items():
        constants.append(numpy_helper.from_array(value.astype(np.float32), f"{name}_value"))
        nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
    made = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in outputs.items()
    ]
    taken = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "test", taken, made, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(file))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("poses")
    boxes = np.array([[[*box, 0.9] for box in PEOPLE]])
    write_network(folder / DETECTOR, (SIDE, SIDE), {"boxes": boxes})
    x, y = np.zeros((1, 17, 2 * WIDE)), np.zeros((1, 17, 2 * HIGH))
    for joint in range(17):
        x[0, joint, round(2 * WIDE * NOSE_SHARE[0])] = 0.8
        y[0, joint, round(2 * HIGH * min(NOSE_SHARE[1] + 0.03 * joint, 0.9))] = 0.8
    write_network(folder / POSE, (HIGH, WIDE), {"simcc_x": x, "simcc_y": y})
    return folder


def test_a_pose_is_found_in_each_box(models: Path) -> None:
    poses = PoseEstimator(models).find(np.zeros((128, 128, 3), np.uint8))  # twice the detector's
    assert poses.shape == (2, 18, 3)
    middles = [(x0 + x1) for x0, _, x1, _ in PEOPLE]
    np.testing.assert_allclose(poses[:, 0, 0], middles, atol=1)
    assert (poses[:, 0, 1] < poses[:, 1, 1]).all()  # the nose above the neck
    np.testing.assert_allclose(poses[..., 2], 0.8, atol=1e-6)


def test_each_face_gets_one_pose_and_the_rest_is_left_out() -> None:
    poses = np.zeros((4, 18, 3))
    poses[:, 0] = [[10, 10, 0.5], [12, 12, 0.9], [50, 10, 0.7], [90, 90, 0.9]]
    first, second, third = of_faces(
        poses, [np.array(box) for box in ([5, 5, 20, 20], [40, 5, 60, 20], [70, 5, 80, 20])]
    )
    assert first is not None and first[0, 2] == 0.9
    assert second is not None and second[0, 0] == 50
    assert third is None
    assert of_faces(np.zeros((0, 18, 3)), [np.array([0, 0, 9, 9])]) == [None]


def write_picture(folder: Path, people: list[dict]) -> None:
    Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(folder / "a.png")
    (folder / "a.json").write_text(json.dumps({"people": people}), "utf-8")


def person(x: float, **more: object) -> dict:
    keypoints = [[x - 6, 20], [x + 6, 20], [x, 26], [x - 5, 32], [x + 5, 32]]
    return {"keypoints": keypoints, "box": [x - 20, 8, x + 20, 60], **more}


def test_prepare_adds_poses_to_those_who_have_none(models: Path, tmp_path: Path) -> None:
    own = [[96.0, 26.0, 1.0]] * 18
    write_picture(tmp_path, [person(32), person(96, pose=own)])
    (source,) = find_sources(tmp_path)
    wishes = PrepareOptions(resolution=0, multiple=32, smallest=20)
    found = look(source, wishes)
    assert not isinstance(found, Rejected)
    np.testing.assert_allclose(found.poses, [own])
    found = look(source, wishes._replace(poses=str(models)))
    assert not isinstance(found, Rejected)
    assert found.poses.shape == (2, 18, 3)
    assert abs(found.poses[0, 0, 0] - 32) <= 1
    np.testing.assert_allclose(found.poses[1], own)


def test_missing_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no .*detector\.onnx\. Expected lightweight"):
        PoseEstimator(tmp_path)
    write_network(tmp_path / DETECTOR, (SIDE, SIDE), {"boxes": np.zeros((1, 1, 5))})
    with pytest.raises(ValueError, match=r"there is no .*pose\.onnx"):
        PoseEstimator(tmp_path)
