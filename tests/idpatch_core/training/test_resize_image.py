"""Image files of every kind are read right, or rejected with a reason."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from idpatch_core.training.read_image import read_pixels
from idpatch_core.training.rejection import Rejection

PIXELS = np.zeros((24, 40, 3), np.uint8)
PIXELS[:12, :20] = 200, 40, 40
PIXELS[12:, 20:] = 40, 40, 200
GREY = np.tile(np.arange(0, 240, 6, np.uint8), (24, 1))

# What a camera stores, by its EXIF orientation.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: np.rot90,
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}


def encode(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", STORED)
def test_an_image_is_upright(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](PIXELS)))
    read = read_pixels(encode(stored, "png", exif=exif), 4.0)
    np.testing.assert_array_equal(read, PIXELS)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_all_modes_become_rgb(mode: str):
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * 257)
        expected = np.repeat(GREY[..., None], 3, axis=2)
    else:
        image = Image.fromarray(PIXELS).convert(mode)
        expected = np.array(image.convert("RGB"))
    content = encode(image, "jpeg", quality=100, subsampling=0) if mode == "CMYK" else encode(image)
    read = read_pixels(content, 4.0)
    assert read.shape == (24, 40, 3) and read.dtype == np.uint8
    np.testing.assert_allclose(read.astype(int), expected.astype(int), atol=4 * (mode == "CMYK"))


@pytest.mark.parametrize("kind", ["webp", "gif", "bmp"])
def test_the_content_counts_and_not_the_suffix(kind: str):
    options = {"lossless": True} if kind == "webp" else {}
    np.testing.assert_array_equal(
        read_pixels(encode(Image.fromarray(PIXELS), kind, **options), 4.0), PIXELS
    )


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def tall_png(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes((width + 1) * height)))
    return b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1, 1_000_000), (2000, 100), (100, 401)])
def test_a_long_image_is_rejected_before_it_is_decoded(size: tuple[int, int]):
    with pytest.raises(Rejection) as error:
        read_pixels(tall_png(*size), 4.0)
    assert error.value.reason == "aspect ratio"
    assert error.value.detail == f"{size[0]}x{size[1]}, at most 4 to 1"
    assert read_pixels(tall_png(100, 400), 4.0).shape == (400, 100, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an image",
        encode(Image.fromarray(PIXELS))[:60],
        encode(Image.fromarray(PIXELS), "jpeg")[:200],
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        encode(Image.fromarray(PIXELS), "tiff"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "postscript", "tiff"],
)
def test_what_is_no_whole_image_is_rejected(content: bytes):
    with pytest.raises(Rejection, match="unreadable image"):
        read_pixels(content, 4.0)


def test_no_damaged_file_raises_anything_else():
    whole = encode(Image.fromarray(PIXELS).convert("P"), "png", pnginfo=None)
    draw = random.Random(3)
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            assert read_pixels(bytes(damaged), 4.0).ndim == 3
        except Rejection as error:
            assert error.reason in ("unreadable image", "aspect ratio")
