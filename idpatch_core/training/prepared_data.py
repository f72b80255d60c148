"""Reads a folder made by `prepare`: its images, the embeddings of all faces, and their people."""

import json
import os
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from ..journal import read
from .prepared_shards import find_complete, image_slice, read_tensors
from .sources import FileSlice

INDEX_FILE = "index.jsonl"
INFO_FILE = "info.json"
SPLIT_FILE = "split.json"  # the people who are held out for the evaluation
GROUPS_FILE = "groups.json"  # unnamed people who are one person
EMBEDDINGS_FILE = "embeddings.safetensors"
EMPTY_CAPTION_FILE = "empty_caption.safetensors"
FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)  # 1 named images without their suffix, of no matter to training


def split_folders(folders: str | Path) -> list[Path]:
    """Return the folders of a setting, which are separated as in PATH."""
    return [Path(folder) for folder in str(folders).split(os.pathsep) if folder]


def read_info(folder: Path) -> dict[str, Any]:
    """Return a prepared folder's version, settings and scaling factor; ValueError if damaged."""
    return _read_json(folder / INFO_FILE)


def read_split(folder: Path) -> dict[str, Any] | None:
    """Return the `people` held out for the evaluation, and for how many images; None if none."""
    path = folder / SPLIT_FILE
    return _read_json(path) if path.is_file() else None


def read_training_records(folder: Path) -> list[dict[str, Any]]:
    """Return the records of the images to train on: all used ones without people held out."""
    held_out = set((read_split(folder) or {"people": ()})["people"])
    records = (record for record in read_index(folder) if "file" in record)
    return [record for record in records if held_out.isdisjoint(record["people"])]


def read_groups(folder: Path) -> dict[str, Any] | None:
    """Return the groups of unnamed `people`, and the `threshold` of their cosines; None if none."""
    path = folder / GROUPS_FILE
    return _read_json(path) if path.is_file() else None


def read_index(folder: Path) -> list[dict[str, Any]]:
    """Return the last record of each image, used or rejected, in order, with grouped people."""
    groups = (read_groups(folder) or {"people": {}})["people"]
    records = read_ungrouped_index(folder)
    if not groups:
        return records
    return [
        {**r, "people": [groups.get(n, n) for n in r["people"]]} if "people" in r else r
        for r in records
    ]


def read_ungrouped_index(folder: Path) -> list[dict[str, Any]]:
    """Return the records as they were written."""
    records = read(folder / INDEX_FILE)
    return list({record.get("image", record.get("file")): record for record in records}.values())


def _read_checked_info(folder: Path) -> dict[str, Any]:
    for name in (INDEX_FILE, INFO_FILE, EMBEDDINGS_FILE, EMPTY_CAPTION_FILE):
        if not (folder / name).is_file():
            raise ValueError(
                f"data: {folder} has no {name}. Make it with "
                "`python -m idpatch_core.training.prepare`, and let it finish."
            )
    info = read_info(folder)
    if info.get("version") not in READABLE_VERSIONS:
        raise ValueError(
            f"data: {folder} has format version {info.get('version')}, expected "
            f"{FORMAT_VERSION}. Prepare the images again."
        )
    return info


def _check_same_models(folder: Path, first: Path) -> None:
    """Raise a ValueError unless a folder's tensors are of the same networks as the first's."""
    infos = [_read_checked_info(path) for path in (folder, first)]
    for name in ("base", "face_model"):
        own, other = (info.get("settings", {}).get(name) for info in infos)
        if own != other:
            raise ValueError(
                f"data: {folder} was made with {name} {own!r}, and {first} with {other!r}. "
                "Prepare both with the same models."
            )
    if infos[0]["scaling_factor"] != infos[1]["scaling_factor"]:
        raise ValueError(f"data: {folder} was made with another VAE than {first}.")


def _read_people(folder: Path, prefix: str) -> tuple[list[dict[str, Any]], set[str]]:
    """Return a folder's records to train on, and the people held out.

    Names made from an image's own name get the prefix, as another folder may have such an image.
    """
    _read_checked_info(folder)
    records = read_training_records(folder)
    held_out = set((read_split(folder) or {"people": ()})["people"])
    if not prefix:
        return records, held_out
    used = [record for record in read_index(folder) if "file" in record]
    made = {n for r in used for n in r["people"] if n.startswith(f"{r.get('image')}#")}

    def qualify(name: str) -> str:
        return prefix + name if name in made else name

    qualified = [{**r, "people": list(map(qualify, r["people"]))} for r in records]
    return qualified, set(map(qualify, held_out))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"data: {path} cannot be read: {error}. Prepare the images again."
        ) from error


class ImageRecord(NamedTuple):
    """A prepared image: its tensors, size in pixels, and the index of its first face among all."""

    file: FileSlice
    width: int
    height: int
    people: int
    first_face: int


class PreparedData:
    """Folders made by `prepare`: their images, the embeddings of all faces, and their people.

    `folders` are one or several, separated as in PATH. A name that the images' JSON gives is the
    same person in all of them; people held out in one are trained on in none. Raises ValueError if
    a folder is incomplete or of another format version, or was made with other models than the
    first.
    """

    def __init__(self, folders: str | Path):
        paths = split_folders(folders)
        self.folder, self.info = paths[0], _read_checked_info(paths[0])
        parts = [
            _read_people(path, f"{number}/" if len(paths) > 1 else "")
            for number, path in enumerate(paths)
        ]
        held_out = set().union(*(people for _, people in parts))
        self.images: list[ImageRecord] = []
        names: list[str] = []
        embeddings = []
        for folder, (records, _) in zip(paths, parts, strict=True):
            _check_same_models(folder, self.folder)
            faces, kept = 0, []
            for record in records:
                people = record["people"]
                if held_out.isdisjoint(people):
                    size = (record["width"], record["height"])
                    file = image_slice(folder, record)
                    self.images.append(ImageRecord(file, *size, len(people), len(names)))
                    names += people
                    kept += range(faces, faces + len(people))
                faces += len(people)
            own = load_file(folder / EMBEDDINGS_FILE)["embeddings"]  # (faces, 512)
            if len(own) != faces:
                raise ValueError(
                    f"data: {folder / EMBEDDINGS_FILE} has {len(own)} faces, expected {faces} as "
                    f"in {INDEX_FILE}. Run prepare again to complete the folder."
                )
            embeddings.append(own if len(kept) == faces else own[kept])
        self.embeddings = torch.cat(embeddings) if len(embeddings) > 1 else embeddings[0]
        indices = {name: index for index, name in enumerate(dict.fromkeys(names))}
        self.groups = np.array([indices[name] for name in names], np.int64)
        faces_of = defaultdict(list)
        for face, group in enumerate(self.groups):
            faces_of[int(group)].append(face)
        self._faces_of = dict(faces_of)

    @property
    def embedding_dim(self) -> int:
        return self.embeddings.shape[1]

    def check_files(self) -> None:
        """Raise a ValueError if the tensors of an image are missing."""
        existing = find_complete(image.file for image in self.images)
        missing = [image.file.path for image in self.images if image.file not in existing]
        if missing:
            raise ValueError(
                f"data: {len(missing)} of {len(self.images)} prepared images are missing, such as "
                f"{missing[0]}. Run prepare again to complete the folder."
            )

    def other_faces(self, face: int) -> list[int]:
        """Return the same person's faces in other images; faces are indices among all."""
        image = self._image_of(face)
        own = range(image.first_face, image.first_face + image.people)
        return [other for other in self._faces_of[int(self.groups[face])] if other not in own]

    def crop(self, face: int) -> Tensor:
        """Return the aligned crop (112, 112, 3) uint8 RGB of a face, by its index among all."""
        image = self._image_of(face)
        return read_tensors(image.file)["crops"][face - image.first_face]

    def _image_of(self, face: int) -> ImageRecord:
        return self.images[bisect_right(self.images, face, key=lambda i: i.first_face) - 1]

    def empty_caption(self) -> dict[str, Tensor]:
        """Return `text` (N, D) and `pooled` (D') of the empty caption."""
        return load_file(self.folder / EMPTY_CAPTION_FILE)
