"""Finds images and their annotations in a folder or in WebDataset shards.

Beside `name.jpg` lies `name.json`, in the folder or in the tar file:

    {"caption": "two people in a park",
     "people": [{"group": "anna", "box": [x0, y0, x1, y1],
                 "keypoints": [[x, y], … 5], "pose": [[x, y, score], … 17 or 18]}]}

All of it is optional; coordinates are in pixels. `group` names the person: photos of one group are
each other's references. The face in a box without keypoints is detected; in an image without people
all faces are. Keypoints are in the order of `idpatch_core.face_detector.Face`, a pose has COCO's 17
or OpenPose's 18 keypoints.

An image is named by its file, with the suffix; in a shard, after the shard's own name.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..layout import MAX_COORDINATE
from ..read_image import IMAGE_SUFFIXES
from ..skeleton import coco17_to_openpose18

FACE_NOSE = 2  # among the five keypoints


class FileSlice(NamedTuple):
    """A file, or a part of one."""

    path: str
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        with Path(self.path).open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class Source(NamedTuple):
    """An image and its JSON, if it has one; `key` names it."""

    key: str
    image: FileSlice
    annotation: FileSlice | None


class AnnotatedPerson(NamedTuple):
    """A person's `box` (4), `keypoints` (5, 2) and `pose` (18, 3), None where not given."""

    group: str | None
    box: np.ndarray | None
    keypoints: np.ndarray | None
    pose: np.ndarray | None


class Annotation(NamedTuple):
    caption: str
    people: list[AnnotatedPerson]


def find_sources(path: Path, unreadable: dict[str, str] | None = None) -> list[Source]:
    """Return the images in a folder and below, in its tar files, or in one tar file; in order.

    A shard that cannot be read to its end is noted in `unreadable`, with the reason; its images up
    to there are returned. Raises ValueError for such a shard without `unreadable`, and if there is
    no image.
    """
    if path.suffix == ".tar":
        shards, sources = [path], []
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        shards = [file for file in files if file.suffix == ".tar"]
        sources = list(_find_in_folder(path, files))
    else:
        raise ValueError(f"source: {path} is neither a folder nor a .tar file.")
    for shard in shards:
        name = shard.name if shard == path else shard.relative_to(path).as_posix()
        try:
            _find_in_shard(shard, name, sources)
        except (tarfile.TarError, OSError, EOFError) as error:
            message = f"it is not a whole, uncompressed .tar file: {error}"
            if unreadable is None:
                raise ValueError(f"source: {shard} cannot be read: {message}.") from error
            unreadable[name] = message
    if not sources:
        raise ValueError(f"source: {path} has no image ({', '.join(IMAGE_SUFFIXES)}).")
    return sources


def _find_in_folder(root: Path, files: list[Path]) -> Iterator[Source]:
    existing = set(files)
    for file in files:
        if file.suffix.lower() in IMAGE_SUFFIXES:
            annotation = file.with_suffix(".json")
            yield Source(
                file.relative_to(root).as_posix(),
                FileSlice(str(file)),
                FileSlice(str(annotation)) if annotation in existing else None,
            )


def _find_in_shard(shard: Path, name: str, sources: list[Source]) -> None:
    """Append the images of a shard to the sources, also those before an error."""
    images: dict[str, tuple[str, FileSlice]] = {}
    annotations: dict[str, FileSlice] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                # WebDataset: the key ends at the first dot of the file's name.
                folder, slash, file = member.name.rpartition("/")
                stem, _, suffix = file.partition(".")
                key = folder + slash + stem
                content = FileSlice(str(shard), member.offset_data, member.size)
                if f".{suffix.lower()}" in IMAGE_SUFFIXES:
                    images[member.name] = key, content
                elif suffix.lower() == "json":
                    annotations[key] = content
        if FileSlice(str(shard), shard.stat().st_size - tarfile.BLOCKSIZE).read().strip(b"\0"):
            raise tarfile.ReadError("its end is missing")  # `tarfile` takes some cuts for the end
    finally:
        for member_name, (key, image) in images.items():
            sources.append(Source(f"{name}/{member_name}", image, annotations.get(key)))


def read_annotation(file: FileSlice | None) -> Annotation:
    """Read an image's JSON; ValueError describing what is wrong with it."""
    if file is None:
        return Annotation("", [])
    try:
        data = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its JSON is broken: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("people", []), list):
        raise ValueError("its JSON is not an object with a list of people")
    caption = data.get("caption", "")
    if not _is_writable_text(caption):
        raise ValueError("its caption is not text")
    people = data.get("people", [])
    return Annotation(
        caption, [_parse_person(p, f"person {i}") for i, p in enumerate(people, start=1)]
    )


def _parse_person(data: Any, where: str) -> AnnotatedPerson:
    if not isinstance(data, dict):
        raise ValueError(f"{where} is not an object")
    group = data.get("group")
    if group is not None and not _is_writable_text(group):
        raise ValueError(f"{where}: group is not text")
    pose = _parse_array(data, "pose", where, [(17, 3), (18, 3)])
    if pose is not None and len(pose) == 17:
        pose = coco17_to_openpose18(pose[None, :, :2], pose[None, :, 2])[0]
    box = _parse_array(data, "box", where, [(4,)])
    if box is not None and not (box[2:] > box[:2]).all():
        raise ValueError(f"{where}: box is not left, top, right, bottom")
    return AnnotatedPerson(group, box, _parse_array(data, "keypoints", where, [(5, 2)]), pose)


def _parse_array(
    data: dict, name: str, where: str, shapes: list[tuple[int, ...]]
) -> np.ndarray | None:
    if data.get(name) is None:
        return None
    try:
        array = np.array(data[name], np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.shape not in shapes or not np.isfinite(array).all():
        expected = " or ".join("x".join(map(str, shape)) for shape in shapes)
        raise ValueError(f"{where}: {name} is not {expected} numbers")
    if np.abs(array).max() > MAX_COORDINATE:
        raise ValueError(f"{where}: {name} has a number beyond {MAX_COORDINATE:.0f} pixels")
    return array


def _is_writable_text(value: Any) -> bool:
    """Return whether a value is text without half a surrogate pair, which cannot be encoded."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
