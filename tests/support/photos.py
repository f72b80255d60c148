"""The photographs of tests/data/photos, as arrays and composed to groups."""

from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).parents[1] / "data" / "photos"


def photo(name: str) -> np.ndarray:
    """Return a photograph (H, W, 3) uint8 RGB by its name without ending."""
    return np.array(Image.open(PHOTOS / f"{name}.jpg").convert("RGB"))


def collage(width: int, height: int, *parts: tuple[str, int, int, float]) -> np.ndarray:
    """Return a grey picture with photographs on it: name, left, top and scale of each."""
    picture = Image.new("RGB", (width, height), "#808080")
    for name, left, top, scale in parts:
        part = Image.fromarray(photo(name))
        size = (round(part.width * scale), round(part.height * scale))
        picture.paste(part.resize(size, Image.Resampling.LANCZOS), (left, top))
    return np.array(picture)
