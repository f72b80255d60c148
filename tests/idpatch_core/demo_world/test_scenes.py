"""Scenes: each person is where the JSON says, and no evaluation person is in a training set."""

from pathlib import Path

import numpy as np

from idpatch_core.demo_world.scenes import (
    FIRST_CANVAS,
    draw_scene,
    plan_scene,
    write_scenes,
)
from idpatch_core.training.sources import find_sources, read_annotation


def test_people_are_where_the_json_says():
    plan = plan_scene(seed=0, index=4, first=0, last=100, count=3)
    pixels, about = draw_scene(plan)
    empty, _ = draw_scene(plan._replace(people=[]))
    assert pixels.shape == (FIRST_CANVAS.height, FIRST_CANVAS.width, 3)
    assert len(about["people"]) == 3
    for person in about["people"]:
        x, y = np.mean(person["keypoints"], axis=0).astype(int)
        assert (pixels[y, x] != empty[y, x]).any()
        assert 0 <= x < FIRST_CANVAS.width and 0 <= y < FIRST_CANVAS.height
    changed = (pixels != empty).any(-1)
    top = int(min(person["box"][1] for person in about["people"])) - 25
    assert not changed[: max(top, 0)].any()


def test_a_scene_is_its_number():
    assert plan_scene(0, 5, 0, 100) == plan_scene(0, 5, 0, 100)
    assert plan_scene(0, 5, 0, 100) != plan_scene(0, 6, 0, 100)


def test_no_one_is_twice_in_a_scene():
    for index in range(100):
        numbers = [person.number for person in plan_scene(1, index, 50, 60).people]
        assert len(set(numbers)) == len(numbers)
        assert all(50 <= number < 60 for number in numbers)


def test_scenes_are_a_source_and_are_not_drawn_twice(tmp_path: Path):
    write_scenes(tmp_path, 3, 0, 50, seed=0, workers=1)
    sources = find_sources(tmp_path)
    assert len(sources) == 3
    about = read_annotation(sources[0].annotation)
    assert about.caption.endswith(("wall", "shirt", "shirts"))
    assert all(p.pose is not None and p.keypoints is not None for p in about.people)
    before = Path(sources[0].image.path).stat().st_mtime_ns
    write_scenes(tmp_path, 3, 0, 50, seed=0, workers=1)
    assert Path(sources[0].image.path).stat().st_mtime_ns == before
