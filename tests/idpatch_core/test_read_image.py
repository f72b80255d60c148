"""Image files of every kind are read right, or refused in a sentence."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from idpatch_core.read_image import UnreadableImage, read_image

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
    read = read_image(encode(stored, "png", exif=exif))
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
    read = read_image(content)
    assert read.shape == (24, 40, 3) and read.dtype == np.uint8
    np.testing.assert_allclose(read.astype(int), expected.astype(int), atol=4 * (mode == "CMYK"))


@pytest.mark.parametrize("kind", ["webp", "gif", "bmp"])
def test_the_content_counts_and_not_the_suffix(kind: str):
    options = {"lossless": True} if kind == "webp" else {}
    np.testing.assert_array_equal(
        read_image(encode(Image.fromarray(PIXELS), kind, **options)), PIXELS
    )


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation_is_read(kind: str):
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    lossless = {"lossless": True} if kind == "webp" else {}
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    with Image.open(io.BytesIO(content)) as image:
        assert getattr(image, "n_frames", 1) == 2
    np.testing.assert_array_equal(read_image(content), PIXELS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"not an image", "no image of the formats JPEG, PNG, WEBP, GIF, BMP. Save it as"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image, which is not read here. Save it as"),
        (encode(Image.fromarray(PIXELS), "tiff"), "no image of the formats"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of the formats"),
        (encode(Image.fromarray(PIXELS))[:60], "OSError: "),
    ],
    ids=["empty", "text", "heic", "tiff", "postscript", "cut png"],
)
def test_what_is_not_read_is_told_in_a_sentence(content: bytes, words: str):
    with pytest.raises(UnreadableImage, match=words):
        read_image(content)


def test_the_size_is_checked_before_anything_is_decoded():
    sizes = []
    cut = encode(Image.fromarray(PIXELS))[:60]
    with pytest.raises(UnreadableImage):
        read_image(cut, lambda width, height: sizes.append((width, height)))
    assert sizes == [(40, 24)]


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_an_image_of_several_strips_is_converted_as_a_whole_one(mode, orientation):
    noise = np.random.default_rng(0).integers(0, 256, (600, 70, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, "PNG", exif=exif)
    with Image.open(file) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = read_image(file.getvalue())
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.flags.writeable
