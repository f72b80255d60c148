"""The images of `prepare` with their JSON, in every format that is read.

An input is the JSON, a line break and the image file.
"""

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from idpatch_core.read_image import READ_FORMATS
from idpatch_core.training.find_people import ImageInspector, PrepareOptions
from idpatch_core.training.rejection import Rejection
from idpatch_core.training.sources import FileSlice, Source

from ..mutations import Mutate, mutate_json, mutate_png
from ..target import MEGABYTE, Target

OPTIONS = PrepareOptions(resolution=128, min_face_width=8)
KEYPOINTS = [[30, 24], [50, 24], [40, 34], [32, 44], [48, 44]]
BYTES_OF_A_PIXEL = 12  # three copies with alpha
EXIF_ORIENTATION = 0x112


@cache
def load_inspector() -> ImageInspector:
    return ImageInspector(OPTIONS)


def prepare_image(data: bytes, folder: Path) -> None:
    """Inspect an image as a worker of `prepare` does, without what it catches of foreign errors."""
    text, _, image = data.partition(b"\n")
    (folder / "a.json").write_bytes(text)
    (folder / "a.img").write_bytes(image)
    annotation = FileSlice(str(folder / "a.json")) if text else None
    load_inspector()._prepare(Source("a", FileSlice(str(folder / "a.img")), annotation))


def allow_pixels(data: bytes) -> int:
    """Return the memory that an image may take: that of its pixels, which its file packs."""
    try:
        with Image.open(io.BytesIO(data.partition(b"\n")[2]), formats=READ_FORMATS) as image:
            width, height = image.size
    except Exception:  # whatever a broken image raises
        width = height = 0
    return 64 * MEGABYTE + width * height * BYTES_OF_A_PIXEL


def make_seeds() -> list[bytes]:
    people = {"caption": "a person", "people": [{"group": "ada", "keypoints": KEYPOINTS}]}
    boxed = {"people": [{"box": [10, 10, 70, 60], "pose": [[40, 34, 1]] * 18}]}
    texts = [json.dumps(people).encode(), json.dumps(boxed).encode(), b""]
    images = list(_make_images())
    # Faces are detected in those without keypoints, which takes longer.
    pairs = [(texts[0], image) for image in images] + [(text, images[0]) for text in texts[1:]]
    return [text + b"\n" + image for text, image in pairs]


def _make_images() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
    image = Image.fromarray(noise).resize((80, 64))
    turned = Image.Exif()
    turned[EXIF_ORIENTATION] = 6
    grey16 = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)
    animation = {"save_all": True, "append_images": [image.rotate(90)]}
    saves: list[tuple[Image.Image, dict[str, object]]] = [
        (image, {"format": "PNG"}),
        (image, {"format": "JPEG", "exif": turned}),
        (image, {"format": "JPEG", "progressive": True, "quality": 30}),
        (image.convert("CMYK"), {"format": "JPEG"}),
        (image.convert("L"), {"format": "JPEG"}),
        (image.convert("RGBA"), {"format": "PNG", "exif": turned}),
        (image.convert("P"), {"format": "PNG", "transparency": 3}),
        (image.convert("1"), {"format": "PNG"}),
        (image.convert("LA"), {"format": "PNG"}),
        (grey16, {"format": "PNG"}),
        (image, {"format": "PNG", **animation}),
        (image, {"format": "WEBP", "exif": turned}),
        (image.convert("RGBA"), {"format": "WEBP", "lossless": True, **animation}),
        (image.convert("P"), {"format": "GIF", "save_all": True}),
        (image, {"format": "BMP"}),
        (image.convert("P"), {"format": "BMP"}),
    ]
    return [_save(*save) for save in saves]


def _save(image: Image.Image, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def mutate(data: bytes, random: Random, mutate_bytes: Mutate) -> bytes | None:
    text, _, image = data.partition(b"\n")
    change: Callable[[bytes, Random, Mutate], bytes | None] = mutate_json
    if random.random() < 0.3:
        mutated = change(text, random, mutate_bytes)
        return None if mutated is None else mutated + b"\n" + image
    mutated = mutate_png(image, random, mutate_bytes)
    return text + b"\n" + (mutate_bytes(image) if mutated is None else mutated)


TARGET = Target(prepare_image, make_seeds, mutate, (Rejection,), allow_pixels)
