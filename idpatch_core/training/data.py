"""Reads prepared images in batches that depend on the seed and the step alone.

The seed and an example's number in the run determine its image, noise, timestep, dropped parts and
reference photos. So a resumed run, and a run on a different number of processes, sees the same data
as one uninterrupted process.
"""

import atexit
import multiprocessing
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..skeleton import draw_openpose
from .config import DropConfig
from .prepared_data import ImageRecord, PreparedData
from .prepared_shards import read_tensors
from .sources import FACE_NOSE

TIMESTEPS = 1000  # SDXL's noise levels
# Streams of random numbers of their own, beside those of the examples.
EPOCH_STREAM, JOINT_STREAM = 1, 2


class Dropped(NamedTuple):
    """Which parts of an example's condition are left out."""

    tokens: bool
    patches: bool
    text: bool
    pose: bool


class Batch(NamedTuple):
    """B images of one size with F people each, and the random choices made for them.

    `latents`, `noise` (B, C, H/8, W/8), the latents scaled to the UNet's space; `timesteps` (B);
    `text` (B, N, D), `pooled` (B, D'), `time_ids` (B, 6); `base` (B, 3, H, W) in [0, 1], the pose
    or black; `points` (B, F, 2) pixels; `reference_embeddings` (B, F, 512), which condition,
    `own_embeddings` of the image's own faces, and `view_embeddings` of one more photo of each
    person; `token_keep` and `patch_keep` (B) are 1 or 0; `groups` (B, F), the person's index;
    `keypoints` (B, F, 5, 2) and `boxes` (B, F, 4) in pixels; `reference_faces` (B, F), the index
    of the reference among all faces.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    text: Tensor
    pooled: Tensor
    time_ids: Tensor
    base: Tensor
    points: Tensor
    reference_embeddings: Tensor
    own_embeddings: Tensor
    view_embeddings: Tensor
    token_keep: Tensor
    patch_keep: Tensor
    groups: Tensor
    keypoints: Tensor
    boxes: Tensor
    reference_faces: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images in pixels."""
        return self.base.shape[3], self.base.shape[2]


class Examples(torch.utils.data.Dataset):
    """Makes the example of an image and its number in the run: `examples[image, number]`."""

    def __init__(
        self, data: PreparedData, drop: DropConfig, seed: int, shuffle_people: bool = True
    ):
        self.data, self.drop, self.seed = data, drop, seed
        self.shuffle_people = shuffle_people
        self._empty_caption = data.empty_caption()

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        index, number = key
        image = self.data.images[index]
        random = np.random.default_rng([self.seed, number])
        stored = read_tensors(image.file)
        mean = stored["latent_mean"].float()
        latents = mean + stored["latent_std"].float() * _standard_normal(random, mean.shape)
        noise = _standard_normal(random, mean.shape)
        timestep = int(random.integers(TIMESTEPS))
        dropped = self._draw_dropped(random, number)
        references, views = (np.array(x) for x in self._draw_photos(image, random))
        order = np.arange(image.people)  # from left to right
        if self.shuffle_people:
            order = random.permutation(order)
        own = (image.first_face + order).tolist()
        caption = self._empty_caption if dropped.text else stored
        poses = stored["poses"].double().numpy()[: 0 if dropped.pose else None]
        base = draw_openpose(poses, image.width, image.height)
        embeddings = self.data.embeddings
        return {
            "latents": latents * self.data.info["scaling_factor"],
            "noise": noise,
            "timesteps": torch.tensor(timestep),
            "text": caption["text"].float(),
            "pooled": caption["pooled"].float(),
            "time_ids": stored["time_ids"].float(),
            "base": torch.from_numpy(base).permute(2, 0, 1).float() / 255,
            "points": stored["keypoints"][order, FACE_NOSE].float(),
            "reference_embeddings": embeddings[references[order]].float(),
            "own_embeddings": embeddings[own].float(),
            "view_embeddings": embeddings[views[order]].float(),
            "token_keep": torch.tensor(0.0 if dropped.tokens else 1.0),
            "patch_keep": torch.tensor(0.0 if dropped.patches else 1.0),
            "groups": torch.from_numpy(self.data.groups[own]),
            "keypoints": stored["keypoints"][order].float(),
            "boxes": stored["boxes"][order].float(),
            "reference_faces": torch.from_numpy(references[order]),
        }

    def _draw_dropped(self, random: np.random.Generator, number: int) -> Dropped:
        """Draw each part, and from a stream of its own whether several are dropped together."""
        drop = self.drop
        probabilities = [drop.tokens, drop.patches, drop.text, drop.pose]
        tokens, patches, text, pose = random.random(4) < probabilities
        joint = np.random.default_rng([self.seed, number, JOINT_STREAM]).random()
        everything = joint < drop.everything
        both = joint < drop.everything + drop.text_and_tokens
        return Dropped(tokens or both, patches or everything, text or both, pose)

    def _draw_photos(
        self, image: ImageRecord, random: np.random.Generator
    ) -> tuple[list[int], list[int]]:
        """Draw, for each face, another photo as the reference and one more as the view."""
        references, views = [], []
        for face in range(image.first_face, image.first_face + image.people):
            others = self.data.other_faces(face)
            drawn = random.permutation(others)[:2].tolist() if others else [face]
            references.append(drawn[0])
            views.append(drawn[-1] if len(drawn) > 1 else face)
        return references, views


def _standard_normal(random: np.random.Generator, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(random.standard_normal(tuple(shape), np.float32))


def collate(examples: Sequence[dict[str, Tensor]]) -> Batch:
    return Batch(**{key: torch.stack([e[key] for e in examples]) for key in Batch._fields})


def group_images(images: Sequence[ImageRecord]) -> dict[tuple[int, int, int], list[int]]:
    """Return the images' indices by width, height and number of people."""
    indices: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        indices[image.width, image.height, image.people].append(index)
    return dict(indices)


class BatchSampler:
    """An endless, resumable batch sampler, beginning with batch `start`.

    The images of a batch have the same size and number of people. Each image comes once an epoch;
    the last batch of a size and number of people is filled up with their first images.
    """

    drop_last = False  # read by accelerate, which splits each batch between the processes

    def __init__(self, images: Sequence[ImageRecord], batch_size: int, seed: int, start: int = 0):
        if not images:
            raise ValueError("data: there are no images to train on.")
        self.batch_size, self.seed, self.start = batch_size, seed, start
        self._buckets = group_images(images)
        self.epoch_length = sum(-(-len(bucket) // batch_size) for bucket in self._buckets.values())

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        number = self.start
        while True:
            epoch, position = divmod(number, self.epoch_length)
            for batch in self._epoch(epoch)[position:]:
                first = number * self.batch_size
                yield [(index, first + i) for i, index in enumerate(batch)]
                number += 1

    def _epoch(self, epoch: int) -> list[list[int]]:
        random = np.random.default_rng([self.seed, epoch, EPOCH_STREAM])
        batches = []
        for bucket in self._buckets.values():
            order = random.permutation(bucket)
            count = -(-len(bucket) // self.batch_size)
            batches += np.resize(order, (count, self.batch_size)).tolist()
        return [batches[i] for i in random.permutation(len(batches))]


def _ignore_sigterm(_: int) -> None:
    """Let workers end with their process, which may first save when its job is ended."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _kill_workers() -> None:
    """Kill what `multiprocessing` would end with SIGTERM, which workers ignore, and wait for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises if a worker is killed
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


atexit.register(_kill_workers)


def load_batches(
    data: PreparedData,
    drop: DropConfig,
    seed: int,
    batch_size: int,
    workers: int,
    start: int = 0,
    shuffle_people: bool = True,
) -> torch.utils.data.DataLoader:
    """Return an endless loader of batches, beginning with batch `start`."""
    return torch.utils.data.DataLoader(
        Examples(data, drop, seed, shuffle_people),
        batch_sampler=BatchSampler(data.images, batch_size, seed, start),  # pyright: ignore[reportArgumentType]
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_ignore_sigterm,
    )
