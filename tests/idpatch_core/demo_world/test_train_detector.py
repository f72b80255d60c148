"""YuNet is trained on drawn faces and written as an ONNX file that the usual loader reads."""

from pathlib import Path

import numpy as np
import pytest
import torch

from idpatch_core.demo_world.face_batches import FaceBatch, SceneFaces, draw_single_faces
from idpatch_core.demo_world.train_detector import (
    detection_losses,
    evaluate_detector,
    make_trainable,
    train_face_detector,
)
from idpatch_core.face_detector import YUNET_FILE, YuNet, load_detector
from idpatch_core.training.torch_yunet import TorchYuNet


def test_a_right_answer_costs_less_than_a_shifted_one():
    faces = draw_single_faces(np.random.default_rng(0), 4, 0, 20)
    detector = TorchYuNet()
    seen = detector(faces.images)
    best = seen.scores.argmax(dim=1)
    rows = torch.arange(4)
    own = FaceBatch(faces.images, rows, seen.boxes[rows, best], seen.keypoints[rows, best])
    moved = own._replace(keypoints=own.keypoints + 20)
    right, wrong = (detection_losses(detector, each) for each in (own, moved))
    assert float(right["points"]) < 0.5 * float(wrong["points"])
    torch.testing.assert_close(right["box"], wrong["box"])


def test_all_weights_learn_and_the_file_is_read_by_opencv(scenes: SceneFaces, tmp_path: Path):
    detector = make_trainable(TorchYuNet())
    sum(detection_losses(detector, scenes.sample(np.random.default_rng(0), 2)).values()).backward()
    weights = {n: w.grad for n, w in detector.named_parameters() if w.ndim > 1}
    idle = [name for name, slope in weights.items() if slope is None or not slope.any()]
    assert len(weights) > 40
    assert all("bbox_head" in name for name in idle)  # of face sizes that do not occur

    file = tmp_path / "drawn.onnx"
    trained = train_face_detector(file, scenes, 0, 200, steps=60, batch=4, seed=0)
    assert evaluate_detector(trained, 30000, 30005)[0] == 1
    others = draw_single_faces(np.random.default_rng(9), 12, 30000, 30100)
    before, after = (detection_losses(d, others) for d in (TorchYuNet(), TorchYuNet(file)))
    assert float(after["box"]) < 0.8 * float(before["box"])
    assert file.stat().st_size == pytest.approx(YUNET_FILE.stat().st_size, rel=0.01)
    assert isinstance(load_detector(file), YuNet)


def test_unchanged_weights_are_written_as_they_were(tmp_path: Path):
    import onnx
    from onnx import numpy_helper

    TorchYuNet().write(tmp_path / "same.onnx")
    before, after = (onnx.load(str(p)).graph for p in (YUNET_FILE, tmp_path / "same.onnx"))
    for old, new in zip(before.initializer, after.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(old), numpy_helper.to_array(new))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="there is no file"):
        load_detector(tmp_path / "none.onnx")
