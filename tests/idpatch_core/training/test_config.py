"""Settings: read from three formats, and refused when they are wrong."""

import json
from pathlib import Path

import pytest
import yaml

from idpatch_core.training.config import load_config

SETTINGS = {
    "models": {"base": "sdxl"},
    "data": {"prepared": "pictures"},
    "run": {"output": "run", "steps": 7},
}
RECIPES = Path(__file__).parents[3] / "idpatch_core" / "training" / "recipes"


def write(folder: Path, **sections: dict) -> Path:
    path = folder / "config.json"
    merged = {name: {**SETTINGS.get(name, {}), **sections.get(name, {})} for name in SETTINGS}
    path.write_text(json.dumps({**sections, **merged}))
    return path


def test_the_three_formats_say_the_same(tmp_path: Path) -> None:
    toml = (
        '[models]\nbase = "sdxl"\n[data]\nprepared = "pictures"\n[run]\noutput = "run"\nsteps = 7\n'
    )
    (tmp_path / "a.toml").write_text(toml)
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(SETTINGS))
    (tmp_path / "c.json").write_text(json.dumps(SETTINGS))
    a, b, c = (load_config(tmp_path / name) for name in ("a.toml", "b.yaml", "c.json"))
    assert a == b == c
    assert a.run.steps == 7
    assert a.trained.names == ("patch_proj.*", "prompt_proj.*", "controlnet.*")


def test_changes_come_last(tmp_path: Path) -> None:
    changes = ["run.steps=9", "losses.identity=0.5", "models.face_model=face.pth"]
    config = load_config(write(tmp_path), changes)
    assert (config.run.steps, config.losses.identity) == (9, 0.5)
    assert config.models.face_model == "face.pth"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"losses": {"identitty": 1}}, r"losses\.identitty: there is no such setting.*identity"),
        ({"lossses": {}}, r"lossses: there is no such setting"),
        ({"run": {"steps": "many"}}, r"run\.steps: expected int, got 'many'"),
        ({"run": {"steps": True}}, r"run\.steps: expected int, got True"),
        ({"run": {"steps": 0}}, r"run\.steps: expected 1 or more, got 0"),
        ({"drop": {"tokens": 1.5}}, r"drop\.tokens: expected a probability.*1\.5"),
        ({"losses": {"identity": 0.1}}, r"losses\.identity needs models\.face_model"),
        ({"losses": {"denoising": 0}}, r"every weight is 0"),
        ({"projection": {"kind": "gru"}}, r"projection\.kind: expected one of resampler, mlp"),
        ({"projection": {"patch": 15}}, r"projection\.patch: expected an even size, got 15"),
        ({"trained": {"names": "unet.*"}}, r"trained\.names: expected a list"),
        ({"optimiser": {"betas": [0.9]}}, r"optimiser\.betas: expected 2 values, got 1"),
        ({"sampling": {"every": 5}}, r"sampling\.every needs data\.evaluation"),
    ],
)
def test_errors_name_the_setting(tmp_path: Path, sections: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config(write(tmp_path, **sections))


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"models": {}, "data": {}, "run": {}}')
    with pytest.raises(ValueError, match=r"models\.base is missing"):
        load_config(tmp_path / "config.json")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[models\n")
    with pytest.raises(ValueError, match=r"config\.toml cannot be read"):
        load_config(tmp_path / "config.toml")


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid(recipe: Path) -> None:
    assert load_config(recipe).run.output
