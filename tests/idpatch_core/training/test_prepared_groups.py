"""Faces without a name are grouped by their embeddings, and stay so in a folder that grows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from idpatch_core.training.prepared_data import read_index, read_ungrouped_index
from idpatch_core.training.prepared_groups import PersonGroups, group_people
from idpatch_core.training.prepared_shards import ShardWriter

DIRECTIONS = np.eye(16)


def face(person: int, random: np.random.Generator) -> np.ndarray:
    vector = DIRECTIONS[person] + random.normal(0, 0.1, 16)
    return vector / np.linalg.norm(vector)


def write_images(folder: Path, images: list[list[tuple[int, str]]], first: int = 0) -> None:
    """Write images whose people have a direction and a name, or none."""
    random = np.random.default_rng(first)
    with (
        ShardWriter(folder, read_ungrouped_index(folder)) as shards,
        (folder / "index.jsonl").open("a") as index,
    ):
        for number, people in enumerate(images, start=first):
            rows = np.stack([face(person, random) for person, _ in people]).astype(np.float32)
            place = shards.append(f"{number}.safetensors", save({"embeddings": torch.tensor(rows)}))
            names = [name or f"{number}.png#{i}" for i, (_, name) in enumerate(people, start=1)]
            index.write(json.dumps({"image": f"{number}.png", **place, "people": names}) + "\n")


def names(folder: Path) -> list[list[str]]:
    return [record["people"] for record in read_index(folder)]


def test_photographs_of_one_person_become_one_group(tmp_path: Path):
    images = [[(0, ""), (1, "")], [(1, "")], [(2, "")], [(0, ""), (2, "")]]
    write_images(tmp_path, images)
    group_people(tmp_path, 0.5)
    found = names(tmp_path)
    assert found == [["0.png#1", "0.png#2"], ["0.png#2"], ["2.png#1"], ["0.png#1", "2.png#1"]]

    write_images(tmp_path, [[(2, ""), (5, "")], [(5, "")]], first=4)
    group_people(tmp_path, 0.5)
    assert names(tmp_path) == [*found, ["2.png#1", "4.png#2"], ["4.png#2"]]
    with pytest.raises(ValueError, match=r"grouped from 0\.5, got 0\.6"):
        group_people(tmp_path, 0.6)


def test_names_that_are_given_stay_and_take_in_unnamed_faces(tmp_path: Path):
    write_images(tmp_path, [[(0, "anna")], [(1, "ben")], [(0, ""), (1, "")], [(0, "carl")]])
    group_people(tmp_path, 0.5)
    assert names(tmp_path) == [["anna"], ["ben"], ["anna", "ben"], ["carl"]]


def test_two_faces_of_one_image_are_two_people(tmp_path: Path):
    write_images(tmp_path, [[(0, "")], [(0, ""), (0, "")]])
    group_people(tmp_path, 0.5)
    first, (one, other) = names(tmp_path)
    assert [one] == first and other not in first


def test_many_groups_are_found_again():
    random = np.random.default_rng(0)
    groups = PersonGroups(0.6)
    vectors = random.normal(size=(3000, 512))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for number, vector in enumerate(vectors):
        assert groups.find(vector, ()) is None
        groups.add(str(number), vector.astype(np.float32))
    assert [groups.find(vectors[i], ()) for i in (0, 1500, 2999)] == ["0", "1500", "2999"]
    assert groups.find(vectors[7], ["7"]) is None
