"""Draws portraits: one person in front of a grey wall, in place of a user's photograph."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .people import WALLS, draw_person, paste_person, sample_appearance

PORTRAIT_SIZE = 128  # pixels: the face is not much larger than in a scene


class Portrait(NamedTuple):
    """`pixels` (S, S, 3) uint8; `keypoints` (5, 2) of the face in pixels."""

    pixels: np.ndarray
    keypoints: np.ndarray


def draw_portrait(number: int, seed: int = 0) -> Portrait:
    """Draw a portrait of person `number`; another seed gives them another appearance."""
    from PIL import Image

    appearance = sample_appearance(np.random.default_rng([seed, number, 30]))
    drawn = draw_person(number, appearance, PORTRAIT_SIZE)
    image = Image.new("RGB", (PORTRAIT_SIZE, PORTRAIT_SIZE), WALLS["grey"])
    paste_person(image, drawn, 0, 0)
    return Portrait(np.array(image), drawn.keypoints)


def write_portraits(folder: Path, people: dict[str, int]) -> None:
    """Write a portrait of each person as `<name>.png`; `people` maps names to numbers."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for name, number in people.items():
        Image.fromarray(draw_portrait(number).pixels).save(folder / f"{name}.png")
