"""Group pictures put together from photographs of single people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from idpatch_core.face_detector import YuNet
from idpatch_core.layout import Point

FOLDER = Path(__file__).parents[1] / "data" / "photos"
SHARE = 0.5  # of a tile's side that the face takes


def read_photographs() -> dict[str, np.ndarray]:
    """Return two photographs of each person, `<person>_1` and `<person>_2`, (H, W, 3) uint8 RGB.

    Of people of whom there is one only, the second is the first one mirrored and darker.
    """
    photographs: dict[str, np.ndarray] = {}
    for path in sorted(FOLDER.glob("*.jpg")):
        name = path.stem.partition("_")[0]
        number = 2 if f"{name}_1" in photographs else 1
        with Image.open(path) as picture:
            photographs[f"{name}_{number}"] = np.asarray(picture.convert("RGB"))
    for name in {key.partition("_")[0] for key in photographs}:
        mirrored = (photographs[f"{name}_1"][:, ::-1] * 0.85).astype(np.uint8)
        photographs.setdefault(f"{name}_2", mirrored)
    return photographs


class Group(NamedTuple):
    """A picture (H, W, 3) uint8 RGB and everybody's nose in it, from left to right."""

    image: np.ndarray
    points: list[Point]


def head(photograph: np.ndarray, side: int) -> tuple[np.ndarray, Point]:
    """Return a square tile around the largest face, and where the nose is in it."""
    face = YuNet().detect(photograph)[0]
    left, top, right, bottom = face.box
    scale = SHARE * side / max(right - left, bottom - top)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    shift = side / 2 - scale * middle
    matrix = np.column_stack([scale * np.eye(2), shift])
    # Smaller first, or the warp would skip pixels.
    nose = scale * face.keypoints[2] + shift
    if scale < 0.5:
        factor = 2 * scale
        photograph = cv2.resize(
            photograph, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA
        )
        matrix[:, :2] /= factor
    tile = cv2.warpAffine(
        photograph, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128)
    )
    return tile, Point(float(nose[0]), float(nose[1]))


def compose(photographs: Sequence[np.ndarray | None], side: int = 200, margin: int = 20) -> Group:
    """Stand people in a row; None leaves a place empty (in the middle of its tile)."""
    height, width = side + 2 * margin, margin + len(photographs) * (side + margin)
    image = np.full((height, width, 3), 128, np.uint8)
    points = []
    for i, photograph in enumerate(photographs):
        left = margin + i * (side + margin)
        if photograph is None:
            points.append(Point(left + side / 2, margin + side / 2))
            continue
        tile, nose = head(photograph, side)
        image[margin : margin + side, left : left + side] = tile
        points.append(Point(left + nose.x, margin + nose.y))
    return Group(image, points)


def write_volume(
    folder: Path, photographs: dict[str, np.ndarray], count: int, pictures: int = 40, seed: int = 0
) -> Path:
    """Write `count` cases over `pictures` small results, of which some are wrong, and their JSONL.

    `photographs` are two or more of each person, named `<person>_<number>`: the first is the
    reference. About a sixth of the results have two people swapped, a sixth lack one.
    """
    generator = np.random.default_rng(seed)
    names = sorted({name.rsplit("_", 1)[0] for name in photographs})
    for name in names:
        save(folder / f"{name}.jpg", photographs[f"{name}_1"])
    rows = []
    for number in range(pictures):
        people = [str(name) for name in generator.permutation(names)]
        people = people[: int(generator.integers(2, len(names) + 1))]
        shown: list[str | None] = list(people)
        kind = int(generator.integers(6))
        if kind == 0:
            shown[0], shown[1] = shown[1], shown[0]
        elif kind == 1:
            shown[0] = None
        group = compose([name and photographs[f"{name}_2"] for name in shown], 64, 4)
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
    lines = [json.dumps({"id": f"{i:05}", **rows[i % pictures]}) for i in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
