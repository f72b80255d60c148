"""Trains ID-Patch itself in a world, by a recipe of `idpatch_core.training`."""

from pathlib import Path

from ..training.config_file import load_config, read_settings
from ..training.trainer import train
from .world import RECIPES

STAGE_NAMES = ("stage1", "stage2", "stage3")
STAGES = {name: RECIPES / f"{name}.toml" for name in STAGE_NAMES}
# Settings of a recipe that are paths in the world's folder.
PATH_SETTINGS = {
    "models": ("base", "unet", "controlnet", "id_patch", "face_model", "detector", "scorer"),
    "data": ("prepared", "evaluation"),
    "run": ("output",),
}


def train_stage(folder: Path, recipe: Path, changes: list[str]) -> None:
    """Train by a recipe whose paths are relative to the folder; `changes` override settings."""
    settings = read_settings(recipe)
    paths = [
        f"{section}.{name}={folder / settings[section][name]}"
        for section, names in PATH_SETTINGS.items()
        for name in names
        if name in settings[section]
    ]
    train(load_config(recipe, [*paths, *changes]))
