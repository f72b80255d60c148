"""Groups the faces of people without a name: faces that resemble each other are one person.

Faces are taken in the order of the index. One joins the group whose mean embedding it resembles
most, if their cosine reaches the threshold, and else begins a group: "leader" clustering (Hartigan,
Clustering Algorithms, 1975, chapter 3). A later image changes no earlier group, so a folder that
grows keeps its people. Two faces in one image are never one person.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..journal import write_whole
from .prepared_data import GROUPS_FILE, read_groups, read_ungrouped_index
from .prepared_shards import image_slice, read_tensors

Record = dict[str, Any]


class PersonGroups:
    """The groups so far: their names, and the sums of their faces' embeddings."""

    def __init__(self, threshold: float):
        self._threshold = threshold
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._sums = np.zeros((0, 0), np.float32)
        self._means = np.zeros((0, 0), np.float32)

    def add(self, name: str, embedding: np.ndarray) -> None:
        """Add a face (D) of unit length to the group of this name, which may be new."""
        number = self._numbers.setdefault(name, len(self._names))
        if number == len(self._names):
            self._names.append(name)
            if number >= len(self._sums):
                self._grow(len(embedding))
        self._sums[number] += embedding
        self._means[number] = self._sums[number] / np.linalg.norm(self._sums[number])

    def _grow(self, dim: int) -> None:
        more = np.zeros((max(1024, len(self._sums)), dim), np.float32)
        self._sums, self._means = (
            np.concatenate([rows.reshape(-1, dim), more]) for rows in (self._sums, self._means)
        )

    def find(self, embedding: np.ndarray, taken: Iterable[str]) -> str | None:
        """Return the group that a face (D) belongs to, none of those taken; None for a new one."""
        if not self._names:
            return None
        cosines = self._means[: len(self._names)] @ embedding
        for name in taken:
            if name in self._numbers:
                cosines[self._numbers[name]] = -1
        best = int(cosines.argmax())
        return self._names[best] if cosines[best] >= self._threshold else None


def group_people(target: Path, threshold: float) -> dict[str, str]:
    """Group the unnamed people of a folder's images; return their groups by their own names.

    A group is named as its first face is. Groups are kept in `groups.json`; those of a folder that
    was grouped with another threshold raise a ValueError.
    """
    known = read_groups(target)
    if known and known["threshold"] != threshold:
        raise ValueError(
            f"--group-people: {target} was grouped from {known['threshold']}, got {threshold}. "
            f"Restore that number, or remove {GROUPS_FILE} before anything is trained."
        )
    groups: dict[str, str] = dict(known["people"]) if known else {}
    records = [record for record in read_ungrouped_index(target) if "file" in record]
    people = PersonGroups(threshold)
    for record in records:
        embeddings = read_tensors(image_slice(target, record))["embeddings"].numpy()
        _group_image(record, embeddings, groups, people)
    content = {"threshold": threshold, "people": groups}
    write_whole(target / GROUPS_FILE, json.dumps(content, ensure_ascii=False).encode())
    return groups


def _group_image(
    record: Record, embeddings: np.ndarray, groups: dict[str, str], people: PersonGroups
) -> None:
    """Group the faces (F, D) of an image; named people keep their names and get unnamed faces."""
    names: list[str] = record["people"]
    known = [name for name in names if name in groups or not _is_unnamed(record, name)]
    taken = {groups.get(name, name) for name in known}
    for name, embedding in zip(names, embeddings, strict=True):
        if name not in known:
            groups[name] = people.find(embedding, taken) or name
            taken.add(groups[name])
        people.add(groups.get(name, name), embedding)


def _is_unnamed(record: Record, name: str) -> bool:
    return name.startswith(f"{record['image']}#")
