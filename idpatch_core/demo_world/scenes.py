"""Draws scenes, people in front of a wall, and writes them as a source for `training.prepare`.

    python -m idpatch_core.demo_world.scenes FOLDER --images N --first A --last B

draws scenes of people A to B-1 for data of one's own; the demo world's command does so itself.
"""

import argparse
import json
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .people import (
    CANVAS,
    SHIRTS,
    SHOULDERS,
    WALLS,
    Appearance,
    draw_person,
    paste_person,
    sample_appearance,
)

SCENE_WIDTH, SCENE_HEIGHT = 192, 96
COUNT_PHRASES = ("nobody", "one person", "two people", "three people", "four people")
COUNT_PROBABILITIES = (0.15, 0.3, 0.3, 0.25)  # of 1, 2, 3 and 4 people


class PlannedPerson(NamedTuple):
    """A person of a scene; `size`, `left` and `top` are those of their square, in pixels."""

    number: int
    appearance: Appearance
    size: int
    left: float
    top: float


class ScenePlan(NamedTuple):
    """What a scene shows, before it is drawn."""

    wall: str  # a name of WALLS
    floor: float  # y in pixels where it begins; SCENE_HEIGHT: no floor
    people: list[PlannedPerson]
    caption: str


def plan_scene(seed: int, index: int, first: int, last: int, count: int = 0) -> ScenePlan:
    """Plan scene `index` with `count` of the people `first` to `last - 1`; 0: 1 to 4 of them."""
    random = np.random.default_rng([seed, index, 10])
    count = count or 1 + int(random.choice(4, p=COUNT_PROBABILITIES))
    numbers = first + random.choice(last - first, size=count, replace=False)
    wall = list(WALLS)[int(random.integers(len(WALLS)))]
    floor = float(SCENE_HEIGHT)
    if random.random() < 0.5:
        floor *= float(random.uniform(0.6, 0.8))
    uniform = list(SHIRTS)[int(random.integers(len(SHIRTS)))] if random.random() < 0.4 else ""
    space = SCENE_WIDTH / count
    people = []
    for position, number in enumerate(numbers.tolist()):
        appearance = sample_appearance(random)
        if uniform:
            appearance = appearance._replace(shirt=uniform)
        size = int(random.uniform(min(66, space * 1.26), min(94, space * 1.42)))
        slack = max(space - size * 0.62, 4.0)
        x = space * (position + 0.5) + random.uniform(-0.5, 0.5) * slack
        x = float(np.clip(x, size * 0.34, SCENE_WIDTH - size * 0.34))
        top = float(random.uniform(-2, max(SCENE_HEIGHT - size * 0.98, 2)))
        people.append(PlannedPerson(number, appearance, size, x - size / 2, top))
    article = "an" if wall[0] in "aeiou" else "a"
    caption = f"{COUNT_PHRASES[count]} in front of {article} {wall} wall"
    if uniform:
        caption += f", wearing {uniform} {'shirts' if count > 1 else 'shirt'}"
    return ScenePlan(wall, floor, people, caption)


def draw_scene(plan: ScenePlan) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw a scene; return the image (SCENE_HEIGHT, SCENE_WIDTH, 3) uint8 and its JSON.

    The JSON is that of `idpatch_core.training.sources`.
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SCENE_WIDTH, SCENE_HEIGHT), WALLS[plan.wall])
    if plan.floor < SCENE_HEIGHT:
        shade = np.array(image.getpixel((0, 0))) * 0.8
        floor = [0, round(plan.floor), SCENE_WIDTH, SCENE_HEIGHT]
        ImageDraw.Draw(image).rectangle(floor, fill=tuple(shade.astype(int).tolist()))
    people = []
    # People who stand lower in the image are nearer, and so drawn later.
    for person in sorted(plan.people, key=lambda p: p.top + p.size):
        drawn = draw_person(person.number, person.appearance, person.size)
        left, top = round(person.left), round(person.top)
        _draw_body(image, person, left, top)
        paste_person(image, drawn, left, top)
        corner = np.array([left, top], float)
        people.append(
            {
                "group": f"drawn-{person.number}",
                "box": (drawn.box + np.tile(corner, 2)).round(2).tolist(),
                "keypoints": (drawn.keypoints + corner).round(3).tolist(),
                "pose": _move_pose(drawn.pose, corner).round(3).tolist(),
            }
        )
    return np.array(image), {"caption": plan.caption, "people": people}


def _move_pose(pose: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Move a pose by (x, y); joints below the image become hidden."""
    moved = pose.copy()
    moved[:, :2] += offset
    moved[(pose[:, 2] == 0) | (moved[:, 1] > SCENE_HEIGHT)] = 0
    return moved


def _draw_body(image: Any, person: PlannedPerson, left: int, top: int) -> None:
    """Draw the body below the square, down to the edge of the image."""
    from PIL import ImageDraw

    scale = person.size / CANVAS
    y = top + person.size - 1
    (x0, _), (x1, _) = SHOULDERS
    if person.appearance.mirrored:
        x0, x1 = CANVAS - x1, CANVAS - x0
    edges = [left + (x0 - 22) * scale, left + (x1 + 24) * scale]
    drawing = ImageDraw.Draw(image)
    body = [edges[0], y, edges[1], SCENE_HEIGHT + 4]
    drawing.rectangle(body, fill=SHIRTS[person.appearance.shirt])
    for x in edges:
        drawing.line([x, y, x, SCENE_HEIGHT], fill="black", width=max(round(4 * scale), 1))


def write_scenes(
    folder: Path,
    images: int,
    first: int,
    last: int,
    seed: int,
    workers: int,
    counts: tuple[int, ...] = (0,),
) -> None:
    """Write the scenes that are not in the folder yet.

    `counts` are the numbers of people, in turn; 0 is 1 to 4 at random.
    """
    from tqdm import tqdm

    tasks = [
        (folder, seed, index, first, last, counts[index % len(counts)]) for index in range(images)
    ]
    with get_context("spawn").Pool(max(workers, 1)) as pool:
        for _ in tqdm(pool.imap(_write_scene, tasks, chunksize=32), total=images, desc="scenes"):
            pass


def _write_scene(task: tuple[Path, int, int, int, int, int]) -> None:
    from PIL import Image

    folder, seed, index, first, last, count = task
    path = folder / f"{index // 1000:03d}" / f"{index:06d}.png"
    if path.with_suffix(".json").is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels, about = draw_scene(plan_scene(seed, index, first, last, count))
    Image.fromarray(pixels).save(path)
    # Last: a scene with its JSON is complete.
    path.with_suffix(".json").write_text(json.dumps(about), "utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m idpatch_core.demo_world.scenes")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first person")
    parser.add_argument("--last", type=int, default=4000, help="one after the last person")
    parser.add_argument(
        "--people", type=int, nargs="+", default=[0], help="in each image, in turn; 0: 1 to 4"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    write_scenes(
        options.folder,
        options.images,
        options.first,
        options.last,
        options.seed,
        options.workers,
        tuple(options.people),
    )


if __name__ == "__main__":
    main()
