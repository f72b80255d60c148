"""Scenes: each person is where the JSON says, and no evaluation person is in a training set."""

from pathlib import Path

import numpy as np
import pytest

from idpatch_core.canvas import LATENT_SCALE
from idpatch_core.demo_world.captions import EXPRESSIONS, ORDINALS
from idpatch_core.demo_world.people import CANVAS, HEAD
from idpatch_core.demo_world.scenes import (
    FIRST_CANVAS,
    ScenePlan,
    draw_scene,
    find_middle,
    plan_scene,
    write_scenes,
)
from idpatch_core.demo_world.world import RECIPES, read_world
from idpatch_core.training.sources import find_sources, read_annotation

LARGE = read_world(RECIPES / "eight_people" / "world.toml").large_canvas
HEAD_WIDTH = (HEAD[2] - HEAD[0]) / CANVAS  # of a person's square


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


def plan_large(count: int, rows: int, number: int = 40) -> list[ScenePlan]:
    """Return plans of eight people's world with a number of people and of rows."""
    plans = (plan_scene(3, index, 0, 100, count, LARGE) for index in range(10_000))
    chosen = (plan for plan in plans if ("two rows" in plan.caption) == (rows == 2))
    return [plan for plan, _ in zip(chosen, range(number), strict=False)]


def test_a_face_in_a_row_of_four_is_ten_latent_pixels_wide():
    sizes = [person.size for plan in plan_large(4, 1) for person in plan.people]
    assert min(sizes) * HEAD_WIDTH / LATENT_SCALE >= 10


@pytest.mark.parametrize("count", [5, 7, 8])
def test_no_head_of_two_rows_hides_another(count: int):
    for plan in plan_large(count, 2):
        assert len(plan.people) == count
        boxes = [
            np.tile([p.left, p.top], 2) + HEAD * p.size / CANVAS for p in plan.people
        ]  # left, top, right, bottom
        for index, a in enumerate(boxes):
            assert (a[:2] > -8).all() and a[2] < LARGE.width + 8 and a[3] < LARGE.height
            for b in boxes[:index]:
                overlap = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
                assert min(overlap) < 0.2 * min(a[2] - a[0], b[2] - b[0])


def test_captions_name_one_person_by_place():
    named = 0
    for index in range(300):
        plan = plan_scene(0, index, 0, 100, 0, LARGE)
        if " person from the left" not in plan.caption:
            continue
        ordinal, _, text = plan.caption.rpartition(", the ")[2].partition(" person from the left")
        person = sorted(plan.people, key=find_middle)[ORDINALS.index(ordinal)]
        assert text and len(plan.people) > 1
        if " shirt" in text:
            assert f" {person.appearance.shirt} shirt" in text
        if text.split()[-1] != "shirt":
            assert text.split()[-1] == EXPRESSIONS[person.appearance.mouth]
        named += 1
    assert 80 < named < 160


def test_the_whole_canvas_of_eight_people_is_drawn():
    (plan, *_) = plan_large(8, 2, 1)
    pixels, about = draw_scene(plan)
    assert pixels.shape == (LARGE.height, LARGE.width, 3)
    assert len({person["group"] for person in about["people"]}) == 8
