"""Finds pictures and what is known about them: a folder, or WebDataset shards.

Beside `name.jpg` lies `name.json`, in the folder or in the tar file:

    {"caption": "two people in a park",
     "people": [{"group": "anna", "box": [x0, y0, x1, y1],
                 "keypoints": [[x, y], … 5], "pose": [[x, y, score], … 17 or 18]}]}

All of it is optional, all numbers are pixels. `group` names the person: pictures of one group show
each other's references. A box without keypoints is looked for, a picture without people is searched
for all faces. Keypoints are in the order of `idpatch_core.face_detector.Face`, a pose has COCO's 17
or OpenPose's 18 keypoints.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..skeleton import coco17_to_openpose18

PICTURES = (".jpg", ".jpeg", ".png", ".webp")


class Place(NamedTuple):
    """Where bytes lie: a file, or a part of one."""

    path: str
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        with Path(self.path).open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class Source(NamedTuple):
    """A picture and its JSON, if it has one; `key` names it."""

    key: str
    picture: Place
    about: Place | None


class Person(NamedTuple):
    """What is known of a person: `box` (4), `keypoints` (5, 2), `pose` (18, 3) or None each."""

    group: str | None
    box: np.ndarray | None
    keypoints: np.ndarray | None
    pose: np.ndarray | None


class About(NamedTuple):
    caption: str
    people: list[Person]


def find_sources(path: Path) -> list[Source]:
    """Return the pictures in a folder and below, in its tar files, or in one tar file; in order.

    Raises ValueError if there is none.
    """
    if path.suffix == ".tar":
        sources = list(_in_shard(path, path.stem))
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        sources = list(_in_folder(path, files))
        for shard in (file for file in files if file.suffix == ".tar"):
            sources += _in_shard(shard, shard.relative_to(path).with_suffix("").as_posix())
    else:
        raise ValueError(f"source: {path} is neither a folder nor a .tar file.")
    if not sources:
        raise ValueError(f"source: {path} holds no picture ({', '.join(PICTURES)}).")
    return sources


def _in_folder(root: Path, files: list[Path]) -> Iterator[Source]:
    there = set(files)
    for file in files:
        if file.suffix.lower() in PICTURES:
            about = file.with_suffix(".json")
            key = file.relative_to(root).with_suffix("").as_posix()
            yield Source(key, Place(str(file)), Place(str(about)) if about in there else None)


def _in_shard(shard: Path, name: str) -> Iterator[Source]:
    pictures: dict[str, Place] = {}
    abouts: dict[str, Place] = {}
    with tarfile.open(shard) as tar:
        for member in tar:
            if not member.isfile():
                continue
            # WebDataset: the key ends at the first dot of the file's name.
            folder, slash, file = member.name.rpartition("/")
            stem, _, ending = file.partition(".")
            key, place = folder + slash + stem, Place(str(shard), member.offset_data, member.size)
            if f".{ending.lower()}" in PICTURES:
                pictures[key] = place
            elif ending.lower() == "json":
                abouts[key] = place
    for key, place in pictures.items():
        yield Source(f"{name}/{key}", place, abouts.get(key))


def read_about(place: Place | None) -> About:
    """Read a picture's JSON; ValueError says what is wrong with it."""
    if place is None:
        return About("", [])
    try:
        data = json.loads(place.read())
    except ValueError as error:
        raise ValueError(f"its JSON is broken: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("people", []), list):
        raise ValueError("its JSON is no object with a list of people")
    caption = data.get("caption", "")
    if not isinstance(caption, str):
        raise ValueError("its caption is no text")
    people = [_person(p, f"person {i}") for i, p in enumerate(data.get("people", []), start=1)]
    return About(caption, people)


def _person(data: Any, where: str) -> Person:
    if not isinstance(data, dict):
        raise ValueError(f"{where} is no object")
    group = data.get("group")
    if group is not None and not isinstance(group, str):
        raise ValueError(f"{where}: group is no text")
    pose = _array(data, "pose", where, [(17, 3), (18, 3)])
    if pose is not None and len(pose) == 17:
        pose = coco17_to_openpose18(pose[None, :, :2], pose[None, :, 2])[0]
    box = _array(data, "box", where, [(4,)])
    if box is not None and not (box[2:] > box[:2]).all():
        raise ValueError(f"{where}: box is not left, top, right, bottom")
    return Person(group, box, _array(data, "keypoints", where, [(5, 2)]), pose)


def _array(data: dict, name: str, where: str, shapes: list[tuple[int, ...]]) -> np.ndarray | None:
    if data.get(name) is None:
        return None
    try:
        array = np.array(data[name], np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape not in shapes or not np.isfinite(array).all():
        wanted = " or ".join("x".join(map(str, shape)) for shape in shapes)
        raise ValueError(f"{where}: {name} is not {wanted} numbers")
    return array
