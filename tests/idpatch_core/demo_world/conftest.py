"""Fixtures of several tests of the demo world."""

import json

import pytest
import torch
from PIL import Image

from idpatch_core.demo_world.face_batches import SceneFaces
from idpatch_core.demo_world.scenes import draw_scene, plan_scene


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SceneFaces:
    folder, images = tmp_path_factory.mktemp("scenes"), []
    for index in range(4):
        pixels, about = draw_scene(plan_scene(0, index, 0, 20))
        Image.fromarray(pixels).save(folder / f"{index}.png")
        (folder / f"{index}.json").write_text(json.dumps(about), "utf-8")
        images.append(torch.from_numpy(pixels))
    return SceneFaces(folder, torch.stack(images), (1.0, 4 / 3, 2.0, 8 / 3))
