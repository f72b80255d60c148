"""Reading settings: three formats, changes on the command line, and errors that name a setting."""

import json
from pathlib import Path

import pytest
import yaml

from idpatch_core.training.config_file import load_config

SETTINGS = {
    "models": {"base": "sdxl"},
    "data": {"prepared": "images"},
    "run": {"output": "run", "steps": 7},
}


def write(folder: Path, **sections: dict) -> Path:
    path = folder / "config.json"
    merged = {name: {**SETTINGS.get(name, {}), **sections.get(name, {})} for name in SETTINGS}
    path.write_text(json.dumps({**sections, **merged}))
    return path


def test_the_three_formats_are_equivalent(tmp_path: Path):
    toml = (
        '[models]\nbase = "sdxl"\n[data]\nprepared = "images"\n[run]\noutput = "run"\nsteps = 7\n'
    )
    (tmp_path / "a.toml").write_text(toml)
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(SETTINGS))
    (tmp_path / "c.json").write_text(json.dumps(SETTINGS))
    a, b, c = (load_config(tmp_path / name) for name in ("a.toml", "b.yaml", "c.json"))
    assert a == b == c
    assert a.run.steps == 7
    assert a.trainable.parameters == ("patch_proj.*", "prompt_proj.*", "controlnet.*")


def test_changes_override_the_file(tmp_path: Path):
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
        ({"projection": {"kind": "gru"}}, r"projection\.kind: expected one of resampler, mlp"),
        ({"trainable": {"parameters": "unet.*"}}, r"trainable\.parameters: expected a list"),
        ({"optimiser": {"betas": [0.9]}}, r"optimiser\.betas: expected 2 values, got 1"),
    ],
)
def test_errors_name_the_setting(tmp_path: Path, sections: dict, message: str):
    with pytest.raises(ValueError, match=message):
        load_config(write(tmp_path, **sections))


def test_a_missing_setting_is_named(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"models": {}, "data": {}, "run": {}}')
    with pytest.raises(ValueError, match=r"models\.base is missing"):
        load_config(tmp_path / "config.json")


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / "config.toml").write_text("[models\n")
    with pytest.raises(ValueError, match=r"config\.toml cannot be read"):
        load_config(tmp_path / "config.toml")
