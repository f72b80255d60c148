"""Reads prepared pictures in batches that depend on nothing but the seed and the step.

Every random number belongs to an example's number in the run: `seed` and that number alone decide
which picture it is, the noise, the timestep, what is dropped and whose photograph is the reference.
So a resumed run, and a run on another number of processes, see what one uninterrupted process saw.
"""

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from ..journal import read
from ..skeleton import draw_openpose
from .config import Drop

INDEX = "index.jsonl"
INFO = "info.json"
FACES = "faces.safetensors"
EMPTY = "empty.safetensors"
FORMAT_VERSION = 1
TIMESTEPS = 1000  # SDXL's noise levels
NOSE = 2  # of the five keypoints


class Picture(NamedTuple):
    """One prepared picture: its file, its size in pixels, and its first face among all faces."""

    file: Path
    width: int
    height: int
    people: int
    first: int


class Batch(NamedTuple):
    """B pictures with F people each, all of one size, and everything that was drawn for them.

    `latents`, `noise` (B, C, H/8, W/8), the latents scaled to the UNet's space; `timesteps` (B);
    `text` (B, N, D), `pooled` (B, D'), `time_ids` (B, 6); `base` (B, 3, H, W) in [0, 1], the pose
    or black; `points` (B, F, 2) pixels; `references` (B, F, 512) the face feature shown, `faces`
    that of the picture itself and `views` that of one more photograph of the person; `token_keep`
    and `patch_keep` (B) are 1 or 0; `groups` (B, F) the person's number; `keypoints` (B, F, 5, 2)
    and `boxes` (B, F, 4) in pixels; `reference_numbers` (B, F) which of all faces the reference is.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    text: Tensor
    pooled: Tensor
    time_ids: Tensor
    base: Tensor
    points: Tensor
    references: Tensor
    faces: Tensor
    views: Tensor
    token_keep: Tensor
    patch_keep: Tensor
    groups: Tensor
    keypoints: Tensor
    boxes: Tensor
    reference_numbers: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures in pixels."""
        return self.base.shape[3], self.base.shape[2]


class Prepared:
    """A folder made by `prepare`: its pictures, all face features, and who is who.

    Raises ValueError if the folder is none or preparing it has not been finished.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        for name in (INDEX, INFO, FACES, EMPTY):
            if not (self.folder / name).is_file():
                raise ValueError(
                    f"data: {self.folder} has no {name}. Make it with "
                    "`python -m idpatch_core.training.prepare`, and let that finish."
                )
        self.info: dict[str, Any] = json.loads((self.folder / INFO).read_text("utf-8"))
        if self.info.get("version") != FORMAT_VERSION:
            raise ValueError(
                f"data: {self.folder} is of version {self.info.get('version')}, expected "
                f"{FORMAT_VERSION}. Prepare the pictures again."
            )
        self.pictures: list[Picture] = []
        names: list[str] = []
        for record in read(self.folder / INDEX):
            if "file" in record:
                people = record["people"]
                picture = (self.folder / record["file"], record["width"], record["height"])
                self.pictures.append(Picture(*picture, len(people), len(names)))
                names += people
        self.embeddings = load_file(self.folder / FACES)["embeddings"]  # (all faces, 512)
        if len(self.embeddings) != len(names):
            raise ValueError(
                f"data: {self.folder / FACES} has {len(self.embeddings)} faces, the index "
                f"{len(names)}. Run prepare again: it completes the folder."
            )
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        self.groups = np.array([numbers[name] for name in names], np.int64)
        members = defaultdict(list)
        for face, group in enumerate(self.groups):
            members[int(group)].append(face)
        self._members = dict(members)

    def others(self, face: int) -> list[int]:
        """Return the other photographs of the person with this face, by the face's number."""
        return [other for other in self._members[int(self.groups[face])] if other != face]

    def crop(self, face: int) -> Tensor:
        """Return the aligned crop (112, 112, 3) uint8 RGB of a face, by its number."""
        picture = self.pictures[bisect_right(self.pictures, face, key=lambda p: p.first) - 1]
        return load_file(picture.file)["crops"][face - picture.first]


class Examples(torch.utils.data.Dataset):
    """Makes an example of a picture and of its number in the run: `examples[(picture, number)]`."""

    def __init__(self, prepared: Prepared, drop: Drop, seed: int, shuffle_people: bool = True):
        self.prepared, self.drop, self.seed = prepared, drop, seed
        self.shuffle_people = shuffle_people
        self._empty = load_file(prepared.folder / EMPTY)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        index, number = key
        picture = self.prepared.pictures[index]
        random = np.random.default_rng([self.seed, number])
        stored = load_file(picture.file)
        mean = stored["latent_mean"].float()
        latents = mean + stored["latent_std"].float() * _normal(random, mean.shape)
        noise = _normal(random, mean.shape)
        timestep = int(random.integers(TIMESTEPS))
        no_tokens, no_patches, no_text, no_pose = random.random(4) < (
            [self.drop.tokens, self.drop.patches, self.drop.text, self.drop.pose]
        )
        references, views = (np.array(x) for x in self._references(picture, random))
        order = np.arange(picture.people)  # from left to right
        if self.shuffle_people:
            order = random.permutation(order)
        own = (picture.first + order).tolist()
        text = self._empty if no_text else stored
        poses = stored["poses"].double().numpy()[: 0 if no_pose else None]
        base = draw_openpose(poses, picture.width, picture.height)
        embeddings = self.prepared.embeddings
        return {
            "latents": latents * self.prepared.info["scaling_factor"],
            "noise": noise,
            "timesteps": torch.tensor(timestep),
            "text": text["text"].float(),
            "pooled": text["pooled"].float(),
            "time_ids": stored["time_ids"].float(),
            "base": torch.from_numpy(base).permute(2, 0, 1).float() / 255,
            "points": stored["keypoints"][order, NOSE].float(),
            "references": embeddings[references[order]].float(),
            "faces": embeddings[own].float(),
            "views": embeddings[views[order]].float(),
            "token_keep": torch.tensor(0.0 if no_tokens else 1.0),
            "patch_keep": torch.tensor(0.0 if no_patches else 1.0),
            "groups": torch.from_numpy(self.prepared.groups[own]),
            "keypoints": stored["keypoints"][order].float(),
            "boxes": stored["boxes"][order].float(),
            "reference_numbers": torch.from_numpy(references[order]),
        }

    def _references(
        self, picture: Picture, random: np.random.Generator
    ) -> tuple[list[int], list[int]]:
        """Choose, for each face, another photograph as the reference and one more as the view."""
        references, views = [], []
        for face in range(picture.first, picture.first + picture.people):
            others = self.prepared.others(face)
            chosen = random.permutation(others)[:2].tolist() if others else [face]
            references.append(chosen[0])
            views.append(chosen[-1] if len(chosen) > 1 else face)
        return references, views


def _normal(random: np.random.Generator, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(random.standard_normal(tuple(shape), np.float32))


def collate(examples: Sequence[dict[str, Tensor]]) -> Batch:
    return Batch(**{key: torch.stack([e[key] for e in examples]) for key in Batch._fields})


class Plan:
    """Says which pictures each batch has, without end; batch `start` comes first.

    A batch has pictures of one size with the same number of people. In an epoch, every picture
    comes once; the last batch of its kind is filled up from the beginning of the kind.
    """

    drop_last = False  # for accelerate, which shares each batch out to the processes

    def __init__(self, pictures: Sequence[Picture], batch_size: int, seed: int, start: int = 0):
        if not pictures:
            raise ValueError("data: there are no pictures to train on.")
        self.batch_size, self.seed, self.start = batch_size, seed, start
        self._kinds: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for index, picture in enumerate(pictures):
            self._kinds[picture.width, picture.height, picture.people].append(index)
        self.epoch_length = sum(-(-len(kind) // batch_size) for kind in self._kinds.values())

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        number = self.start
        while True:
            epoch, position = divmod(number, self.epoch_length)
            for batch in self._epoch(epoch)[position:]:
                first = number * self.batch_size
                yield [(index, first + i) for i, index in enumerate(batch)]
                number += 1

    def _epoch(self, epoch: int) -> list[list[int]]:
        random = np.random.default_rng([self.seed, epoch, 1])  # 1: not an example's stream
        batches = []
        for kind in self._kinds.values():
            order = random.permutation(kind)
            count = -(-len(kind) // self.batch_size)
            batches += np.resize(order, (count, self.batch_size)).tolist()
        return [batches[i] for i in random.permutation(len(batches))]


def load_batches(
    prepared: Prepared,
    drop: Drop,
    seed: int,
    batch_size: int,
    workers: int,
    start: int = 0,
    shuffle_people: bool = True,
) -> torch.utils.data.DataLoader:
    """Return an endless loader of batches, beginning with batch `start`."""
    return torch.utils.data.DataLoader(
        Examples(prepared, drop, seed, shuffle_people),
        batch_sampler=Plan(prepared.pictures, batch_size, seed, start),  # pyright: ignore[reportArgumentType]
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def evaluation_batches(
    prepared: Prepared, count: int, batch_size: int, drop: Drop, seed: int = 0
) -> Iterator[Batch]:
    """Yield `count` pictures, spread over all numbers of people, always the same ones."""
    kinds = defaultdict(list)
    for index, picture in enumerate(prepared.pictures):
        kinds[picture.width, picture.height, picture.people].append(index)
    each = -(-count // len(kinds))
    examples = Examples(prepared, drop, seed)
    for kind in sorted(kinds):
        chosen = kinds[kind][:each]
        for i in range(0, len(chosen), batch_size):
            yield collate([examples[index, index] for index in chosen[i : i + batch_size]])
