"""The people of an image: poses are estimated where there are none, faces are moved with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pose_models import write_pose_models

from idpatch_core.training.find_people import (
    ImageInspector,
    PreparedImage,
    PrepareOptions,
)
from idpatch_core.training.sources import find_sources

OPTIONS = PrepareOptions(resolution=0, multiple=32, min_face_width=20)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pose_models(tmp_path_factory.mktemp("poses"))


def annotate(x: float, **values: object) -> dict:
    keypoints = [[x - 6, 20], [x + 6, 20], [x, 26], [x - 5, 32], [x + 5, 32]]
    return {"keypoints": keypoints, "box": [x - 20, 8, x + 20, 60], **values}


def test_people_without_a_pose_get_one(models: Path, tmp_path: Path):
    own = [[96.0, 26.0, 1.0]] * 18
    people = [annotate(32), annotate(96, pose=own)]
    Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps({"people": people}), "utf-8")
    (source,) = find_sources(tmp_path)
    image = ImageInspector(OPTIONS).inspect(source)
    assert isinstance(image, PreparedImage)
    np.testing.assert_allclose(image.poses, [own])
    image = ImageInspector(OPTIONS._replace(poses=str(models))).inspect(source)
    assert isinstance(image, PreparedImage)
    assert image.poses.shape == (2, 18, 3)
    assert abs(image.poses[0, 0, 0] - 32) <= 1
    np.testing.assert_allclose(image.poses[1], own)
