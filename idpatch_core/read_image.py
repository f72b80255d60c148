"""Reads image files: photos of people, generated images, and images to train with."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
READ_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # no format that runs another program
# The brands of a file of phones, which Pillow does not read, after the eight bytes of its header.
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
STRIP_ROWS = 256
ADVICE = "Save it as JPEG or PNG"


class UnreadableImage(Exception):
    """A file that is no whole image of a format that is read; the message says what it is."""


def read_image(
    content: bytes, check_size: Callable[[int, int], object] | None = None
) -> np.ndarray:
    """Return an image file's content as (H, W, 3) uint8 RGB, upright as its EXIF says.

    Of an animation it is the first frame; of 16 bits the upper eight are kept. `check_size` is
    called with width and height before the image is decoded, and may raise. Raises UnreadableImage.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=READ_FORMATS) as image:
            size = image.size
    except UnidentifiedImageError:
        raise UnreadableImage(describe_unread(content)) from None
    except Exception as error:  # a damaged file raises any kind
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error
    if check_size is not None:
        check_size(*size)
    try:
        with Image.open(io.BytesIO(content), formats=READ_FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return _convert_to_rgb(image)
    except Exception as error:
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error


def describe_unread(content: bytes) -> str:
    """Return what a file is that no reader knows, and what to do."""
    if not content:
        return "it is empty"
    if is_heif(content):
        return f"it is a HEIC image, which is not read here. {ADVICE}"
    return f"it is no image of the formats {', '.join(READ_FORMATS)}. {ADVICE}"


def is_heif(content: bytes) -> bool:
    """Tell whether a file's content is a HEIC or HEIF image, as phones make them."""
    return content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS


def _convert_to_rgb(image: Any) -> np.ndarray:
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIP_ROWS):  # a whole copy of each kind takes 18 bytes a pixel
        bottom = min(top + STRIP_ROWS, height)
        pixels[top:bottom] = _convert_strip(image.crop((0, top, width, bottom)))
    return pixels


def _convert_strip(image: Any) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        grey = np.clip(np.rint(np.asarray(image, np.float64) / 257), 0, 255).astype(np.uint8)
        return grey[..., None]
    return np.asarray(image.convert("RGB"))
