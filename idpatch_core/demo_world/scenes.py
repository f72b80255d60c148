"""Puts drawn people into pictures and writes them as a source for `prepare`.

    python -m idpatch_core.demo_world.scenes FOLDER --pictures N --first A --last B

The people have the numbers A to B-1. Single portraits, for the demo, come with `--portraits`.
"""

import argparse
import json
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .people import CANVAS, SHIRTS, SHOULDERS, Drawn, Look, draw, look

WIDTH, HEIGHT = 192, 96
PORTRAIT = 128  # pixels: the face is not much larger than in a scene
COUNTS = ("nobody", "one person", "two people", "three people", "four people")
SHARES = (0.15, 0.3, 0.3, 0.25)  # of pictures with 1, 2, 3 and 4 people
WALLS = {
    "white": "#eeeeea",
    "grey": "#a9b0b8",
    "blue": "#8fb4e0",
    "green": "#a5cf9b",
    "yellow": "#f3dd8d",
    "pink": "#efb9c4",
    "orange": "#eeb077",
    "dark": "#474c5c",
}


class Standing(NamedTuple):
    """One person of a scene: who, how they look, size of their square, its top left corner."""

    number: int
    today: Look
    size: int
    left: float
    top: float


class ScenePlan(NamedTuple):
    wall: str
    floor: float  # y in pixels, or the picture's height for a wall alone
    people: list[Standing]
    caption: str


def scene(seed: int, index: int, first: int, last: int, people: int = 0) -> ScenePlan:
    """Draw up scene number `index` with people `first` to `last - 1`; `people` 0: 1 to 4."""
    random = np.random.default_rng([seed, index, 10])
    count = people or 1 + int(random.choice(4, p=SHARES))
    numbers = first + random.choice(last - first, size=count, replace=False)
    wall = list(WALLS)[int(random.integers(len(WALLS)))]
    floor = float(random.uniform(0.6, 0.8)) * HEIGHT if random.random() < 0.5 else float(HEIGHT)
    uniform = list(SHIRTS)[int(random.integers(len(SHIRTS)))] if random.random() < 0.4 else ""
    space = WIDTH / count
    standing = []
    for place, number in enumerate(numbers.tolist()):
        today = look(random)
        if uniform:
            today = today._replace(shirt=uniform)
        size = int(random.uniform(min(66, space * 1.26), min(94, space * 1.42)))
        slack = max(space - size * 0.62, 4.0)
        x = space * (place + 0.5) + random.uniform(-0.5, 0.5) * slack
        x = float(np.clip(x, size * 0.34, WIDTH - size * 0.34))
        top = float(random.uniform(-2, max(HEIGHT - size * 0.98, 2)))
        standing.append(Standing(number, today, size, x - size / 2, top))
    caption = f"{COUNTS[count]} in front of {'an' if wall[0] in 'aeiou' else 'a'} {wall} wall"
    if uniform:
        caption += f", wearing {uniform} {'shirts' if count > 1 else 'shirt'}"
    return ScenePlan(wall, floor, standing, caption)


def render(planned: ScenePlan) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw a scene; return the picture (HEIGHT, WIDTH, 3) uint8 and its JSON."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), WALLS[planned.wall])
    if planned.floor < HEIGHT:
        shade = np.array(picture.getpixel((0, 0))) * 0.8
        corner = [0, round(planned.floor), WIDTH, HEIGHT]
        ImageDraw.Draw(picture).rectangle(corner, fill=tuple(shade.astype(int).tolist()))
    people = []
    # Who stands lower in the picture is nearer.
    for one in sorted(planned.people, key=lambda p: p.top + p.size):
        drawn = draw(one.number, one.today, one.size)
        left, top = round(one.left), round(one.top)
        _body(picture, one, left, top)
        tile = Image.fromarray(drawn.pixels)
        picture.paste(tile, (left, top), tile)
        corner = np.array([left, top], float)
        people.append(
            {
                "group": f"drawn-{one.number}",
                "box": (drawn.box + np.tile(corner, 2)).round(2).tolist(),
                "keypoints": (drawn.keypoints + corner).round(3).tolist(),
                "pose": _moved(drawn.pose, corner).round(3).tolist(),
            }
        )
    return np.array(picture), {"caption": planned.caption, "people": people}


def _moved(pose: np.ndarray, corner: np.ndarray) -> np.ndarray:
    moved = pose.copy()
    moved[:, :2] += corner
    moved[(pose[:, 2] == 0) | (moved[:, 1] > HEIGHT)] = 0  # hips below the picture are not seen
    return moved


def _body(picture: Any, one: Standing, left: int, top: int) -> None:
    """Draw the body below the bust, down to the picture's edge."""
    from PIL import ImageDraw

    scale = one.size / CANVAS
    y = top + one.size - 1
    (x0, _), (x1, _) = SHOULDERS
    if one.today.mirrored:
        x0, x1 = CANVAS - x1, CANVAS - x0
    edges = [left + (x0 - 22) * scale, left + (x1 + 24) * scale]
    draw_on = ImageDraw.Draw(picture)
    draw_on.rectangle([edges[0], y, edges[1], HEIGHT + 4], fill=SHIRTS[one.today.shirt])
    for x in edges:
        draw_on.line([x, y, x, HEIGHT], fill="black", width=max(round(4 * scale), 1))


def sitter(number: int, seed: int, size: int = PORTRAIT) -> Drawn:
    """Draw the person of a portrait."""
    return draw(number, look(np.random.default_rng([seed, number, 30])), size)


def portrait(number: int, seed: int, size: int = PORTRAIT) -> np.ndarray:
    """Draw a person alone, (size, size, 3) uint8, as a user's photograph."""
    from PIL import Image

    picture = Image.new("RGB", (size, size), WALLS["grey"])
    tile = Image.fromarray(sitter(number, seed, size).pixels)
    picture.paste(tile, (0, 0), tile)
    return np.array(picture)


def _write(task: tuple[Path, int, int, int, int, int]) -> None:
    from PIL import Image

    folder, seed, index, first, last, people = task
    path = folder / f"{index // 1000:03d}" / f"{index:06d}.png"
    if path.with_suffix(".json").is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels, about = render(scene(seed, index, first, last, people))
    Image.fromarray(pixels).save(path)
    path.with_suffix(".json").write_text(json.dumps(about), "utf-8")  # last: it is whole


def write_scenes(
    folder: Path,
    pictures: int,
    first: int,
    last: int,
    seed: int,
    workers: int,
    people: tuple[int, ...] = (0,),
) -> None:
    """Write scenes that are not there yet, with so many people in turn; 0 draws 1 to 4."""
    from tqdm import tqdm

    counts = [people[index % len(people)] for index in range(pictures)]
    tasks = [(folder, seed, index, first, last, count) for index, count in enumerate(counts)]
    with get_context("spawn").Pool(max(workers, 1)) as pool:
        for _ in tqdm(pool.imap(_write, tasks, chunksize=32), total=pictures, desc="scenes"):
            pass


def main(arguments: list[str] | None = None) -> None:
    from PIL import Image

    parser = argparse.ArgumentParser(prog="python -m idpatch_core.demo_world.scenes")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first person")
    parser.add_argument("--last", type=int, default=4000, help="one after the last person")
    parser.add_argument(
        "--people", type=int, nargs="+", default=[0], help="in each picture, in turn; 0: 1 to 4"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--portraits", action="store_true", help="of all people, one each")
    options = parser.parse_args(arguments)
    if options.portraits:
        options.folder.mkdir(parents=True, exist_ok=True)
        for number in range(options.first, options.last):
            path = options.folder / f"drawn-{number}.png"
            Image.fromarray(portrait(number, options.seed)).save(path)
        return
    rest = options.seed, options.workers, tuple(options.people)
    write_scenes(options.folder, options.pictures, options.first, options.last, *rest)


if __name__ == "__main__":
    main()
