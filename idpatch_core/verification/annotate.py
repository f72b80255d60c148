"""Draws a verdict into its image: a box, name, score and tick or cross for each person."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GREEN, RED, GREY = (0, 150, 60), (205, 30, 40), (110, 110, 110)
WHITE = (255, 255, 255)


def annotate_record(
    image: np.ndarray, verdict: dict[str, Any], scale: float = 1.0, size: int | None = None
) -> None:
    """Draw a verdict record of `verdict_to_json` into its image, `scale` times as large, in place.

    `image` (H, W, 3) is float32 in [0, 1] or uint8; `size` the height of the letters in pixels, by
    default one that suits the image. Green: correct. Red: a wrong face, or a square where a face is
    missing. Grey: a face at no one's placement.
    """
    height, width = image.shape[:2]
    if size is None:
        size = int(np.clip((height + width) / 90, 11, 40))
    full = 1.0 if np.issubdtype(image.dtype, np.floating) else 255.0
    for index, face in enumerate(verdict["faces"]):
        if index not in verdict["face_indices"]:
            _box(image, [scale * v for v in face["box"]], GREY, full, max(1, size // 10))
    for number, person in enumerate(verdict["people"], start=1):
        if person["point"] is None:
            continue
        colour = GREEN if person["correct"] else RED
        if person["box"] is not None:
            box = [scale * value for value in person["box"]]
        else:
            x, y = (scale * value for value in person["point"])
            box = (x - 1.5 * size, y - 1.5 * size, x + 1.5 * size, y + 1.5 * size)
        _box(image, box, colour, full, max(2, size // 6))
        score = "no face" if person["similarity"] is None else f"{person['similarity']:.2f}"
        label = _label(_printable(person["name"], number), score, person["correct"], colour, size)
        middle = (box[0] + box[2] - label.shape[1]) / 2
        left = int(np.clip(middle, 0, max(width - label.shape[1], 0)))
        top = int(box[1]) - label.shape[0]
        top = min(top, height - label.shape[0]) if top >= 0 else int(np.clip(box[1], 0, height))
        _paste(image, label, left, top, full)


def _printable(name: str, number: int) -> str:
    # The font that comes with Pillow has only Latin letters.
    return name if name.isprintable() and all(ord(c) < 0x180 for c in name) else f"person {number}"


def _box(
    image: np.ndarray, box: Sequence[float], colour: tuple[int, ...], full: float, line: int
) -> None:
    height, width = image.shape[:2]
    x0, x1 = np.clip([box[0], box[2]], 0, width).astype(int)
    y0, y1 = np.clip([box[1], box[3]], 0, height).astype(int)
    paint = np.array(colour) / 255 * full
    image[y0 : y0 + line, x0:x1] = paint
    image[max(y1 - line, y0) : y1, x0:x1] = paint
    image[y0:y1, x0 : x0 + line] = paint
    image[y0:y1, max(x1 - line, x0) : x1] = paint


def _paste(image: np.ndarray, label: np.ndarray, left: int, top: int, full: float) -> None:
    part = image[top : top + label.shape[0], left : left + label.shape[1]]
    part[:] = label[: part.shape[0], : part.shape[1]] / 255 * full


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _label(
    name: str, score: str, correct: bool, colour: tuple[int, int, int], size: int
) -> np.ndarray:
    name = name if len(name) <= 24 else f"{name[:23]}…"
    text, font = f"{name}  {score}", _font(size)
    width = int(font.getlength(text)) + int(2.4 * size)
    label = Image.new("RGB", (width, int(1.5 * size)), colour)
    draw = ImageDraw.Draw(label)
    _mark(draw, correct, size)
    draw.text((int(1.8 * size), size * 0.75), text, WHITE, font, anchor="lm")
    return np.asarray(label)


def _mark(draw: ImageDraw.ImageDraw, correct: bool, size: int) -> None:
    def at(x: float, y: float) -> tuple[float, float]:
        return (0.4 + x) * size, (0.25 + y) * size

    line = max(2, size // 6)
    if correct:
        draw.line([at(0.05, 0.5), at(0.4, 0.85), at(1.0, 0.1)], WHITE, line, joint="curve")
    else:
        draw.line([at(0.1, 0.1), at(0.9, 0.9)], WHITE, line)
        draw.line([at(0.9, 0.1), at(0.1, 0.9)], WHITE, line)
