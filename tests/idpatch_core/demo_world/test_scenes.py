"""Scenes: everybody stands where the JSON says, and nobody is in two sets."""

from pathlib import Path

import numpy as np

from idpatch_core.demo_world import __main__ as demo_world
from idpatch_core.demo_world.scenes import HEIGHT, WIDTH, render, scene, write_scenes
from idpatch_core.training.config_file import read_settings
from idpatch_core.training.sources import find_sources, read_annotation


def test_people_stand_where_the_json_says() -> None:
    planned = scene(seed=0, index=4, first=0, last=100, people=3)
    pixels, about = render(planned)
    empty, _ = render(planned._replace(people=[]))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert len(about["people"]) == 3
    for person in about["people"]:
        x, y = np.mean(person["keypoints"], axis=0).astype(int)
        assert (pixels[y, x] != empty[y, x]).any()
        assert 0 <= x < WIDTH and 0 <= y < HEIGHT
    changed = (pixels != empty).any(-1)
    top = int(min(person["box"][1] for person in about["people"])) - 25
    assert not changed[: max(top, 0)].any()


def test_a_scene_is_its_number() -> None:
    assert scene(0, 5, 0, 100) == scene(0, 5, 0, 100)
    assert scene(0, 5, 0, 100) != scene(0, 6, 0, 100)


def test_nobody_is_twice_in_a_scene() -> None:
    for index in range(100):
        numbers = [one.number for one in scene(1, index, 50, 60).people]
        assert len(set(numbers)) == len(numbers)
        assert all(50 <= number < 60 for number in numbers)


def test_the_world_keeps_evaluation_people_apart() -> None:
    people = read_settings(demo_world.HERE / "world.toml")["people"]
    for name in ("scenes", "more", "conditioning", "scoring"):
        (a, b), (c, d) = people[name], people["evaluation"]
        assert b <= c or d <= a
    (a, b), (c, d) = people["conditioning"], people["scoring"]
    assert b <= c or d <= a


def test_scenes_are_a_source_and_are_not_drawn_twice(tmp_path: Path) -> None:
    write_scenes(tmp_path, 3, 0, 50, seed=0, workers=1)
    sources = find_sources(tmp_path)
    assert len(sources) == 3
    about = read_annotation(sources[0].annotation)
    assert about.caption.endswith(("wall", "shirt", "shirts"))
    assert all(p.pose is not None and p.keypoints is not None for p in about.people)
    before = Path(sources[0].image.path).stat().st_mtime_ns
    write_scenes(tmp_path, 3, 0, 50, seed=0, workers=1)
    assert Path(sources[0].image.path).stat().st_mtime_ns == before
