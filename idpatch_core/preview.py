"""Draws a preview of the patches; the condition image itself is not changed."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .images import to_float, to_uint8
from .layout import Point, is_inside

# The same as the editor's, in `web/placer/draw.js`.
PERSON_COLOURS = [
    *["#4c9bff", "#ff9a3c", "#3dc98a", "#ff6b81", "#b78bff"],
    *["#f2cf3b", "#35c5d6", "#ff8ad1", "#c28e5c", "#a9b4c4"],
]
DARK = "#10141a"
OPACITY = 0.85  # of a patch over the base image
SMOOTHNESS = 4  # badges are drawn this many times larger and then reduced


def draw_preview(
    base: Tensor, patches: Sequence[Tensor] | Tensor, points: Sequence[Point | None]
) -> Tensor:
    """Draw the patches, stretched to visible colours, and each person's number onto the base.

    `base` (1, 3, H, W) float in [0, 1]; `patches` (F, 3, P, P) or one (3, P, P) each; one point in
    pixels for each person. A person outside the image has a hollow number at the edge, one
    without a point none. Returns (1, H, W, 3) float32 in [0, 1].
    """
    canvas = to_uint8(base[0].permute(1, 2, 0))
    height, width = canvas.shape[:2]
    placed = [(index, point) for index, point in enumerate(points) if point is not None]
    for index, point in placed:
        if is_inside(point, width, height):
            _draw_patch(canvas, patches[index], point)
    image = Image.fromarray(canvas)
    for index, point in placed:
        colour = PERSON_COLOURS[index % len(PERSON_COLOURS)]
        if is_inside(point, width, height):
            _draw_frame(image, point, patches[index].shape[-1], colour)
    for index, point in placed:
        size = patches[index].shape[-1]
        _draw_badge(image, point, size, index + 1, PERSON_COLOURS[index % len(PERSON_COLOURS)])
    return to_float(np.array(image))[None]


def _corner(point: Point, size: int) -> tuple[int, int]:
    x, y = np.rint(np.array(point, dtype=np.float32) - np.float32(size // 2)).astype(int)
    return int(x), int(y)


def _draw_patch(canvas: np.ndarray, patch: Tensor, point: Point) -> None:
    height, width = canvas.shape[:2]
    size = patch.shape[-1]
    x, y = _corner(point, size)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size, width), min(y + size, height)
    visible = _visible(patch)[y0 - y : y1 - y, x0 - x : x1 - x]
    under = canvas[y0:y1, x0:x1]
    canvas[y0:y1, x0:x1] = np.rint(OPACITY * visible + (1 - OPACITY) * under)


def _visible(patch: Tensor) -> np.ndarray:
    """Stretch a patch (3, P, P) from its darkest to its brightest values to [0, 255], (P, P, 3)."""
    values = patch.float().permute(1, 2, 0).numpy()
    low, high = np.percentile(values, [1, 99])
    return np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255


def _draw_frame(image: Image.Image, point: Point, size: int, colour: str) -> None:
    x, y = _corner(point, size)
    draw = ImageDraw.Draw(image)
    line = _line_width(image)
    draw.rectangle((x - line, y - line, x + size - 1 + line, y + size - 1 + line), None, DARK, line)
    draw.rectangle((x, y, x + size - 1, y + size - 1), None, colour, line)


def _line_width(image: Image.Image) -> int:
    return max(1, round(min(image.size) / 400))


def _draw_badge(image: Image.Image, point: Point, size: int, number: int, colour: str) -> None:
    width, height = image.size
    radius = max(9, round(min(width, height) / 55))
    hollow = not is_inside(point, width, height)
    above = 0 if hollow else (size + radius) / 2  # so that the patch stays visible
    x = min(max(point.x, radius), width - radius)
    y = min(max(point.y - above, radius), height - radius)

    side = 2 * radius * SMOOTHNESS
    badge = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(badge)
    fill, ink, rim = (DARK, colour, colour) if hollow else (colour, DARK, DARK)
    draw.ellipse((0, 0, side - 1, side - 1), fill, rim, radius * SMOOTHNESS // 6)
    font = ImageFont.load_default(size=radius * SMOOTHNESS * (1.3 if number < 10 else 1.1))
    draw.text((side / 2, side / 2), str(number), ink, font, anchor="mm")
    badge = badge.resize((2 * radius, 2 * radius), Image.Resampling.LANCZOS)
    image.paste(badge, (round(x) - radius, round(y) - radius), badge)
