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

from .captions import describe_group, describe_person
from .people import (
    CANVAS,
    MOUTHS,
    SHIRTS,
    SHOULDERS,
    WALLS,
    Appearance,
    draw_person,
    paste_person,
    sample_appearance,
)
from .world import CanvasSettings

FIRST_CANVAS = CanvasSettings()


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
    floor: float  # y in pixels where it begins; `height`: no floor
    people: list[PlannedPerson]
    caption: str
    width: int
    height: int


def plan_scene(
    seed: int,
    index: int,
    first: int,
    last: int,
    count: int = 0,
    canvas: CanvasSettings = FIRST_CANVAS,
) -> ScenePlan:
    """Plan scene `index` with `count` of the people `first` to `last - 1`; 0: a random number."""
    random = np.random.default_rng([seed, index, 10])
    count = count or 1 + int(random.choice(len(canvas.shares), p=canvas.shares))
    numbers = first + random.choice(last - first, size=count, replace=False)
    wall = list(WALLS)[int(random.integers(len(WALLS)))]
    floor = float(canvas.height)
    if random.random() < 0.5:
        floor *= float(random.uniform(0.6, 0.8))
    uniform = list(SHIRTS)[int(random.integers(len(SHIRTS)))] if random.random() < 0.4 else ""
    mouth = ""
    if canvas.described and random.random() < 0.2:
        mouth = MOUTHS[int(random.integers(len(MOUTHS)))]
    rows = 1
    if canvas.two_rows and random.random() < canvas.two_rows[count - 1]:
        rows = 2
    people = []
    for position, number in enumerate(numbers.tolist()):
        appearance = sample_appearance(random)
        if uniform:
            appearance = appearance._replace(shirt=uniform)
        if mouth:
            appearance = appearance._replace(mouth=mouth)
        arrange = place_in_row if rows == 1 else place_in_two_rows
        square = arrange(random, position, count, canvas)
        people.append(PlannedPerson(number, appearance, *square))
    caption = describe_group(count, wall, uniform, mouth, rows)
    if count > 1 and random.random() < canvas.described:
        position = int(random.integers(count))
        ordered = sorted(people, key=find_middle)
        person = ordered[position].appearance
        caption += describe_person(random, position, person, uniform, mouth)
    return ScenePlan(wall, floor, people, caption, canvas.width, canvas.height)


def find_middle(person: PlannedPerson) -> float:
    """Return the x of a person's middle, in pixels."""
    return person.left + person.size / 2


def place_in_row(
    random: np.random.Generator, position: int, count: int, canvas: CanvasSettings
) -> tuple[int, float, float]:
    """Return size, left and top of the square of a person in a row."""
    space = canvas.width / count
    size = _draw_size(random, canvas, space)
    slack = max(space - size * 0.62, 4.0)
    x = space * (position + 0.5) + random.uniform(-0.5, 0.5) * slack
    x = float(np.clip(x, size * 0.34, canvas.width - size * 0.34))
    top = float(random.uniform(-2, max(canvas.height - size * 0.98, 2)))
    return size, x - size / 2, top


def place_in_two_rows(
    random: np.random.Generator, position: int, count: int, canvas: CanvasSettings
) -> tuple[int, float, float]:
    """Return size, left and top of the square of a person in two rows, first the one in front.

    People of the other row stand in the gaps, and their heads above those in front.
    """
    front = -(-count // 2)
    columns = front + 0.5 * (count == 2 * front)  # in spaces of one person
    space = canvas.width / columns
    size = _draw_size(random, canvas, space, 0.645)
    behind = position >= front
    column = position - front + 1 if behind else position + 0.5
    x = space * column + random.uniform(-0.05, 0.05) * space
    x = float(np.clip(x, size * 0.34, canvas.width - size * 0.34))
    top = -0.02 * size if behind else canvas.height - 0.98 * size
    return size, x - size / 2, float(top + random.uniform(-0.03, 0.03) * size)


def _draw_size(
    random: np.random.Generator, canvas: CanvasSettings, space: float, share: float = 1.0
) -> int:
    """Draw the side of a person's square for a space of their own and a share of the height."""
    low, high = (
        min(share * canvas.height * h, space * w)
        for h, w in zip(canvas.heights, canvas.widths, strict=True)
    )
    return int(random.uniform(low, high))


def draw_scene(plan: ScenePlan) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw a scene; return the image (height, width, 3) uint8 and its JSON.

    The JSON is that of `idpatch_core.training.sources`.
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (plan.width, plan.height), WALLS[plan.wall])
    if plan.floor < plan.height:
        shade = np.array(image.getpixel((0, 0))) * 0.8
        floor = [0, round(plan.floor), plan.width, plan.height]
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
                "pose": _move_pose(drawn.pose, corner, plan.height).round(3).tolist(),
            }
        )
    return np.array(image), {"caption": plan.caption, "people": people}


def _move_pose(pose: np.ndarray, offset: np.ndarray, height: int) -> np.ndarray:
    """Move a pose by (x, y); joints below the image become hidden."""
    moved = pose.copy()
    moved[:, :2] += offset
    moved[(pose[:, 2] == 0) | (moved[:, 1] > height)] = 0
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
    body = [edges[0], y, edges[1], max(image.height + 4, y)]
    drawing.rectangle(body, fill=SHIRTS[person.appearance.shirt])
    for x in edges:
        drawing.line([x, y, x, image.height], fill="black", width=max(round(4 * scale), 1))


def write_scenes(
    folder: Path,
    images: int,
    first: int,
    last: int,
    seed: int,
    workers: int,
    counts: tuple[int, ...] = (0,),
    canvas: CanvasSettings = FIRST_CANVAS,
) -> None:
    """Write the scenes that are not in the folder yet.

    `counts` are the numbers of people, in turn; 0 is a random number.
    """
    from tqdm import tqdm

    tasks = [
        (folder, seed, index, first, last, counts[index % len(counts)], canvas)
        for index in range(images)
    ]
    with get_context("spawn").Pool(max(workers, 1)) as pool:
        for _ in tqdm(pool.imap(_write_scene, tasks, chunksize=32), total=images, desc="scenes"):
            pass


def _write_scene(task: tuple[Path, int, int, int, int, int, CanvasSettings]) -> None:
    from PIL import Image

    folder, seed, index, first, last, count, canvas = task
    path = folder / f"{index // 1000:03d}" / f"{index:06d}.png"
    if path.with_suffix(".json").is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels, about = draw_scene(plan_scene(seed, index, first, last, count, canvas))
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
