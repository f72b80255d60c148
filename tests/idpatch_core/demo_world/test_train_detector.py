"""YuNet learns drawn faces and goes on as an ONNX file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from idpatch_core.demo_world.scenes import render, scene
from idpatch_core.demo_world.train_detector import (
    Faces,
    Scenes,
    detection_losses,
    draw_portraits,
    learning,
    quality,
    train_face_detector,
    vary,
)
from idpatch_core.face_detector import YUNET_FILE, YuNet, load_detector
from idpatch_core.training.torch_yunet import TorchYuNet


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    folder, pictures = tmp_path_factory.mktemp("scenes"), []
    for index in range(4):
        pixels, about = render(scene(0, index, 0, 20))
        Image.fromarray(pixels).save(folder / f"{index}.png")
        (folder / f"{index}.json").write_text(json.dumps(about), "utf-8")
        pictures.append(torch.from_numpy(pixels))
    return Scenes(folder, torch.stack(pictures))


def test_faces_of_portraits_lie_inside(scenes: Scenes) -> None:
    faces = draw_portraits(np.random.default_rng(0), 6, 0, 20)
    assert faces.pictures.shape == (6, 3, 256, 256)
    assert (faces.boxes > -1).all() and (faces.boxes < 257).all()


def test_scenes_are_scaled_with_their_faces(scenes: Scenes) -> None:
    widths = set()
    for seed in range(12):
        faces = scenes.batch(np.random.default_rng(seed), 3)
        height, width = faces.pictures.shape[2:]
        widths.add(width)
        assert height % 32 == width % 32 == 0
        heads = faces.boxes[:, 2] - faces.boxes[:, 0]
        assert (heads > 0.1 * width).all() and (heads < 0.4 * width).all()
        low, high = faces.boxes[:, None, :2], faces.boxes[:, None, 2:]
        assert ((faces.keypoints > low) & (faces.keypoints < high)).all()
    assert len(widths) > 2


def test_a_right_answer_costs_less_than_a_shifted_one() -> None:
    faces = draw_portraits(np.random.default_rng(0), 4, 0, 20)
    detector = TorchYuNet()
    seen = detector(faces.pictures)
    best = seen.scores.argmax(dim=1)
    rows = torch.arange(4)
    own = Faces(faces.pictures, rows, seen.boxes[rows, best], seen.keypoints[rows, best])
    moved = own._replace(keypoints=own.keypoints + 20)
    right, wrong = (detection_losses(detector, each) for each in (own, moved))
    assert float(right["points"]) < 0.5 * float(wrong["points"])
    torch.testing.assert_close(right["box"], wrong["box"])


def test_all_weights_learn_and_the_file_is_read_by_opencv(scenes: Scenes, tmp_path: Path) -> None:
    detector = learning(TorchYuNet())
    sum(detection_losses(detector, scenes.batch(np.random.default_rng(0), 2)).values()).backward()
    weights = {n: w.grad for n, w in detector.named_parameters() if w.ndim > 1}
    idle = [name for name, slope in weights.items() if slope is None or not slope.any()]
    assert len(weights) > 40
    assert all("bbox_head" in name for name in idle)  # of sizes that were not in the pictures

    file = tmp_path / "drawn.onnx"
    trained = train_face_detector(file, scenes, 0, 200, steps=60, batch=4, seed=0)
    assert quality(trained, 30000, 30005)[0] == 1
    others = draw_portraits(np.random.default_rng(9), 12, 30000, 30100)
    before, after = (detection_losses(d, others) for d in (TorchYuNet(), TorchYuNet(file)))
    assert float(after["box"]) < 0.8 * float(before["box"])
    assert file.stat().st_size == pytest.approx(YUNET_FILE.stat().st_size, rel=0.01)
    assert isinstance(load_detector(file), YuNet)


def test_unchanged_weights_are_written_as_they_were(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    TorchYuNet().write(tmp_path / "same.onnx")
    before, after = (onnx.load(str(p)).graph for p in (YUNET_FILE, tmp_path / "same.onnx"))
    for old, new in zip(before.initializer, after.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(old), numpy_helper.to_array(new))


def test_variation_keeps_size_and_range() -> None:
    pictures = torch.rand(2, 3, 64, 96)
    varied = vary(pictures, np.random.default_rng(0))
    assert varied.shape == pictures.shape
    assert varied.min() >= 0 and varied.max() <= 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        load_detector(tmp_path / "none.onnx")
