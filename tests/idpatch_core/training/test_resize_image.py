"""Images to train with are rejected with a reason if they cannot be read or are too long."""

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from idpatch_core.training.rejection import Rejection
from idpatch_core.training.resize_image import read_pixels

PIXELS = np.zeros((24, 40, 3), np.uint8)
PIXELS[:12, :20] = 200, 40, 40
PIXELS[12:, 20:] = 40, 40, 200


def encode(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


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
