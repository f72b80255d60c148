"""Settings: values out of range and contradictions are errors, the recipes are valid."""

from dataclasses import fields
from pathlib import Path

import pytest

from idpatch_core.training.config import LOSSES, LossConfig
from idpatch_core.training.config_file import load_config, make_config

RECIPES = Path(__file__).parents[3] / "idpatch_core" / "training" / "recipes"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"run": {"output": "run", "steps": 0}}, r"run\.steps: expected 1 or more, got 0"),
        ({"drop": {"tokens": 1.5}}, r"drop\.tokens: expected a number from 0 to 1, got 1\.5"),
        ({"drop": {"everything": 0.6, "text_and_tokens": 0.6}}, r"expected at most 1 together"),
        ({"sampling": {"max_share": 0}}, r"sampling\.max_share: expected more than 0"),
        ({"losses": {"face_sized_windows": True}}, r"needs losses\.decode_window"),
        ({"losses": {"identity": 0.1}}, r"losses\.identity needs models\.face_model"),
        ({"losses": {"matching_temperature": 0}}, r"losses\.matching_temperature: expected more"),
        ({"losses": {"denoising": 0}}, r"every weight is 0"),
        ({"projection": {"patch_size": 15}}, r"projection\.patch_size: expected an even .* got 15"),
        ({"sampling": {"every": 5}}, r"sampling\.every needs data\.evaluation"),
    ],
)
def test_errors_name_the_setting(sections: dict, message: str):
    required = {
        "models": {"base": "sdxl"},
        "data": {"prepared": "images"},
        "run": {"output": "run"},
    }
    with pytest.raises(ValueError, match=message):
        make_config({**required, **sections})


def test_every_loss_has_a_weight():
    no_weights = {"min_snr_gamma", "face_weight", "matching_temperature", "face_sized_windows"}
    no_weights |= {"decode_max_timestep", "decode_window", "decode_memory"}
    assert {field.name for field in fields(LossConfig)} - no_weights == set(LOSSES)


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_are_valid(recipe: Path):
    assert load_config(recipe).run.output
