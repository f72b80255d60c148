"""Images of faces: the photos of tests/data/photos, groups of them, and a drawing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from idpatch_core.face_detector import YuNet
from idpatch_core.layout import Point

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
FACE_SHARE = 0.5  # of a tile's side


def photo(name: str) -> np.ndarray:
    """Return a photo (H, W, 3) uint8 RGB by its name without ending."""
    return np.array(Image.open(PHOTOS / f"{name}.jpg").convert("RGB"))


def collage(width: int, height: int, *parts: tuple[str, int, int, float]) -> np.ndarray:
    """Return a grey image with photos on it: name, left, top and scale of each."""
    image = Image.new("RGB", (width, height), "#808080")
    for name, left, top, scale in parts:
        part = Image.fromarray(photo(name))
        size = (round(part.width * scale), round(part.height * scale))
        image.paste(part.resize(size, Image.Resampling.LANCZOS), (left, top))
    return np.array(image)


def cover_half(image: np.ndarray, half: str) -> np.ndarray:
    """Return a photo (H, W, 3) whose face is half covered by something of the skin's colour.

    `half` is left, right or eyes.
    """
    face = YuNet().detect(image)[0]
    left, top, right, bottom = face.box
    x, y = face.nose
    wide, high = face.size
    cheeks = image[int(top + 0.45 * high) : int(top + 0.7 * high)]
    cheeks = cheeks[:, int(left + 0.3 * wide) : int(left + 0.7 * wide)]
    skin = tuple(int(value) for value in np.median(cheeks.reshape(-1, 3), axis=0))
    box = {
        "left": (left - 0.2 * wide, top - 0.2 * high, x, bottom + 0.2 * high),
        "right": (x, top - 0.2 * high, right + 0.2 * wide, bottom + 0.2 * high),
        "eyes": (left - 0.1 * wide, top - 0.1 * high, right + 0.1 * wide, y - 0.05 * high),
    }[half]
    covered = Image.fromarray(image)
    ImageDraw.Draw(covered).rounded_rectangle(box, radius=int(0.15 * wide), fill=skin)
    return np.array(covered)


def read_photos() -> dict[str, np.ndarray]:
    """Return two photos of each person, `<person>_1` and `<person>_2`, (H, W, 3) uint8 RGB.

    If there is only one of a person, the second is the first one, mirrored and darker.
    """
    photos: dict[str, np.ndarray] = {}
    for path in sorted(PHOTOS.glob("*.jpg")):
        name = path.stem.partition("_")[0]
        number = 2 if f"{name}_1" in photos else 1
        with Image.open(path) as image:
            photos[f"{name}_{number}"] = np.asarray(image.convert("RGB"))
    for name in {key.partition("_")[0] for key in photos}:
        mirrored = (photos[f"{name}_1"][:, ::-1] * 0.85).astype(np.uint8)
        photos.setdefault(f"{name}_2", mirrored)
    return photos


class Group(NamedTuple):
    """An image (H, W, 3) uint8 RGB and the noses in it, from left to right."""

    image: np.ndarray
    points: list[Point]


def head(photo: np.ndarray, side: int) -> tuple[np.ndarray, Point]:
    """Return a square tile around the largest face, and the nose point in it."""
    face = YuNet().detect(photo)[0]
    left, top, right, bottom = face.box
    scale = FACE_SHARE * side / max(right - left, bottom - top)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    shift = side / 2 - scale * middle
    matrix = np.column_stack([scale * np.eye(2), shift])
    # Smaller first, or the warp would skip pixels.
    nose = scale * face.keypoints[2] + shift
    if scale < 0.5:
        factor = 2 * scale
        photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        matrix[:, :2] /= factor
    tile = cv2.warpAffine(
        photo, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128)
    )
    return tile, Point(float(nose[0]), float(nose[1]))


def compose(photos: Sequence[np.ndarray | None], side: int = 200, margin: int = 20) -> Group:
    """Put people in a row; None leaves a gap, with its point in the middle."""
    height, width = side + 2 * margin, margin + len(photos) * (side + margin)
    image = np.full((height, width, 3), 128, np.uint8)
    points = []
    for i, photo in enumerate(photos):
        left = margin + i * (side + margin)
        if photo is None:
            points.append(Point(left + side / 2, margin + side / 2))
            continue
        tile, nose = head(photo, side)
        image[margin : margin + side, left : left + side] = tile
        points.append(Point(left + nose.x, margin + nose.y))
    return Group(image, points)


def write_volume(
    folder: Path, photos: dict[str, np.ndarray], count: int, images: int = 40, seed: int = 0
) -> Path:
    """Write `count` cases over `images` small results, of which some are wrong, and their JSONL.

    `photos` are two or more of each person, named `<person>_<number>`: the first is the
    reference. About a sixth of the results have two people swapped, a sixth lack one.
    """
    generator = np.random.default_rng(seed)
    names = sorted({name.rsplit("_", 1)[0] for name in photos})
    for name in names:
        save(folder / f"{name}.jpg", photos[f"{name}_1"])
    rows = []
    for number in range(images):
        people = [str(name) for name in generator.permutation(names)]
        people = people[: int(generator.integers(2, len(names) + 1))]
        visible: list[str | None] = list(people)
        kind = int(generator.integers(6))
        if kind == 0:
            visible[0], visible[1] = visible[1], visible[0]
        elif kind == 1:
            visible[0] = None
        group = compose([name and photos[f"{name}_2"] for name in visible], 64, 4)
        save(folder / "results" / f"{number}.png", group.image)
        rows.append(
            {
                "people": [
                    {"name": name, "references": [f"{name}.jpg"], "point": list(point)}
                    for name, point in zip(people, group.points, strict=True)
                ],
                "result": f"results/{number}.png",
                "prompt": f"{len(people)} people",
            }
        )
    path = folder / "cases.jsonl"
    lines = [json.dumps({"id": f"{i:05}", **rows[i % images]}) for i in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def drawn_face(width: int = 200, height: int = 168) -> np.ndarray:
    """A head with eyes, nose and mouth, well enough drawn for YuNet."""
    image = np.full((height, width, 3), (200, 190, 180), np.uint8)
    cv2.ellipse(image, (100, 84), (44, 58), 0, 0, 360, (224, 172, 140), -1)
    cv2.ellipse(image, (100, 40), (46, 22), 0, 180, 360, (60, 40, 30), -1)
    for x in (82, 118):
        cv2.ellipse(image, (x, 74), (9, 5), 0, 0, 360, (255, 255, 255), -1)
        cv2.circle(image, (x, 74), 4, (30, 30, 30), -1)
        cv2.ellipse(image, (x, 62), (11, 4), 0, 180, 360, (60, 40, 30), 3)
    cv2.line(image, (100, 78), (95, 96), (180, 120, 90), 3)
    cv2.line(image, (95, 96), (104, 97), (180, 120, 90), 3)
    cv2.ellipse(image, (100, 114), (17, 7), 0, 0, 180, (150, 50, 50), 4)
    return cv2.GaussianBlur(image, (5, 5), 0)
