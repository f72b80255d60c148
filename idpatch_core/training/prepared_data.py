"""Reads a folder made by `prepare`: its images, the embeddings of all faces, and their people."""

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.torch import load_file
from torch import Tensor

from ..journal import read

INDEX_FILE = "index.jsonl"
INFO_FILE = "info.json"
SPLIT_FILE = "split.json"  # the people who are held out for the evaluation
EMBEDDINGS_FILE = "embeddings.safetensors"
EMPTY_CAPTION_FILE = "empty_caption.safetensors"
FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)  # 1 named images without their suffix, of no matter to training


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


def read_index(folder: Path) -> list[dict[str, Any]]:
    """Return the last record of each image, used or rejected, in order."""
    records = read(folder / INDEX_FILE)
    return list({record.get("image", record.get("file")): record for record in records}.values())


def existing_files(files: Collection[Path]) -> set[Path]:
    """Return which of many files exist, by listing their folders."""
    folders = {file.parent for file in files}
    found = {path for folder in folders if folder.is_dir() for path in folder.iterdir()}
    return found.intersection(files)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"data: {path} cannot be read: {error}. Prepare the images again."
        ) from error


class ImageRecord(NamedTuple):
    """A prepared image: its file, size in pixels, and the index of its first face among all."""

    file: Path
    width: int
    height: int
    people: int
    first_face: int


class PreparedData:
    """A folder made by `prepare`: its images, the embeddings of all faces, and their people.

    Raises ValueError if the folder is incomplete or of another format version.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        for name in (INDEX_FILE, INFO_FILE, EMBEDDINGS_FILE, EMPTY_CAPTION_FILE):
            if not (self.folder / name).is_file():
                raise ValueError(
                    f"data: {self.folder} has no {name}. Make it with "
                    "`python -m idpatch_core.training.prepare`, and let it finish."
                )
        self.info = read_info(self.folder)
        if self.info.get("version") not in READABLE_VERSIONS:
            raise ValueError(
                f"data: {self.folder} has format version {self.info.get('version')}, expected "
                f"{FORMAT_VERSION}. Prepare the images again."
            )
        self.images: list[ImageRecord] = []
        names: list[str] = []
        for record in read_training_records(self.folder):
            people = record["people"]
            file, size = self.folder / record["file"], (record["width"], record["height"])
            self.images.append(ImageRecord(file, *size, len(people), len(names)))
            names += people
        self.embeddings = load_file(self.folder / EMBEDDINGS_FILE)["embeddings"]  # (all faces, 512)
        if len(self.embeddings) != len(names):
            raise ValueError(
                f"data: {self.folder / EMBEDDINGS_FILE} has {len(self.embeddings)} faces, expected "
                f"{len(names)} as in {INDEX_FILE}. Run prepare again to complete the folder."
            )
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
        """Raise a ValueError if the file of an image is missing."""
        existing = existing_files({image.file for image in self.images})
        missing = [image.file for image in self.images if image.file not in existing]
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
        return load_file(image.file)["crops"][face - image.first_face]

    def _image_of(self, face: int) -> ImageRecord:
        return self.images[bisect_right(self.images, face, key=lambda i: i.first_face) - 1]

    def empty_caption(self) -> dict[str, Tensor]:
        """Return `text` (N, D) and `pooled` (D') of the empty caption."""
        return load_file(self.folder / EMPTY_CAPTION_FILE)
