"""A world's settings keep evaluation people apart; the pack does not depend on the example."""

from pathlib import Path

import pytest

from idpatch_core.demo_world.stages import STAGE_NAMES
from idpatch_core.demo_world.world import RECIPES, read_world
from idpatch_core.training.config_file import load_config

CORE = RECIPES.parent


WORLDS = ("world.toml", "eight_people/world.toml")


@pytest.mark.parametrize("name", WORLDS)
def test_the_world_keeps_evaluation_people_apart(name: str):
    people = read_world(RECIPES / name).people
    for name in ("scenes", "more", "conditioning", "scoring"):
        (a, b), (c, d) = getattr(people, name), people.evaluation
        assert b <= c or d <= a
    (a, b), (c, d) = people.conditioning, people.scoring
    assert b <= c or d <= a


@pytest.mark.parametrize("name", WORLDS)
def test_each_stage_of_a_world_has_a_valid_recipe(name: str):
    world = read_world(RECIPES / name)
    assert sum(world.canvas.shares) == pytest.approx(1)
    assert sum(world.large_canvas.shares) == pytest.approx(1)
    for stage in STAGE_NAMES:
        config = load_config(RECIPES / world.recipes / f"{stage}.toml")
        assert config.run.output == stage


def test_an_unknown_setting_is_named(tmp_path: Path):
    text = (RECIPES / "world.toml").read_text("utf-8")
    (tmp_path / "world.toml").write_text(text.replace("channels =", "channel ="), "utf-8")
    with pytest.raises(ValueError, match=r"vae\.channel: there is no such setting"):
        read_world(tmp_path / "world.toml")


def test_nothing_outside_imports_the_demo_world():
    files = [*CORE.rglob("*.py"), *(CORE.parent / "nodes").rglob("*.py")]
    outside = [file for file in files if RECIPES not in file.parents]
    assert len(outside) > 20
    for file in outside:
        lines = file.read_text("utf-8").splitlines()
        imports = [line for line in lines if line.lstrip().startswith(("from ", "import "))]
        assert not [line for line in imports if "demo_world" in line], file
