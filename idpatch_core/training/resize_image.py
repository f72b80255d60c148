"""Reads and resizes the image files of a training set."""

from functools import partial

import numpy as np

from ..read_image import UnreadableImage, read_image
from .rejection import Rejection


def read_pixels(content: bytes, max_aspect: float) -> np.ndarray:
    """Read an image file; return (H, W, 3) uint8 RGB, upright.

    Raises Rejection if it cannot be read, or if its long side is more than `max_aspect` times the
    short one.
    """
    try:
        return read_image(content, partial(check_sides, maximum=max_aspect))
    except UnreadableImage as error:
        raise Rejection("unreadable image", error) from error


def check_sides(width: int, height: int, maximum: float) -> None:
    """Raise a Rejection if one side is more than `maximum` times the other."""
    if max(width, height) > maximum * min(width, height):
        raise Rejection("aspect ratio", f"{width}x{height}, at most {maximum:g} to 1")


def resize_image(
    pixels: np.ndarray, resolution: int, multiple: int
) -> tuple[np.ndarray, float, np.ndarray]:
    """Scale an image to cover its new size and crop the rest; return it, the scale, the corner.

    The new size has the area of `resolution` squared and the image's aspect ratio, in multiples.
    With a resolution of 0 the image stays unchanged; Rejection if its sides are no multiples.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    if not resolution:
        if height % multiple or width % multiple:
            raise Rejection("size", f"{width}x{height} is not a multiple of {multiple}")
        return pixels, 1.0, np.zeros(2)
    aspect = (width / height) ** 0.5
    sides = resolution * aspect, resolution / aspect
    wide, tall = (max(round(side / multiple), 1) * multiple for side in sides)
    scale = max(wide / width, tall / height)
    size = max(round(width * scale), wide), max(round(height * scale), tall)
    scaled = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    left, top = (size[0] - wide) // 2, (size[1] - tall) // 2
    return scaled[top : top + tall, left : left + wide], scale, np.array([left, top], float)
