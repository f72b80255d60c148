"""Samples images of people who were not trained on, and scores identity and placement.

Faces are read at the keypoints of the image that the pose is from: a face elsewhere counts as
wrong.
"""

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..arcface import embed
from ..verification.assignment import make_assignment
from ..verification.metrics import association_accuracy, face_similarity
from ..verification.tally import Tally, bootstrap_interval, pooled
from .base_model import decode
from .config import DropConfig, SamplingConfig
from .data import Batch, Examples, collate
from .evaluation_images import choose_images, split_batches
from .frozen_networks import embed_crops
from .networks import Networks
from .objective import make_condition
from .prepared_data import PreparedData
from .sampling import sample
from .torch_alignment import align_faces

DROP_NOTHING = DropConfig(0.0, 0.0, 0.0, 0.0)
DECODE_PIXELS = 1024**2  # of the images that are decoded at once
GRID_IMAGES = 64  # that are kept


class ScoredImage(NamedTuple):
    """A sample (3, H, W) uint8, if it is kept, and its metrics with their names."""

    image: Tensor | None
    tallies: list[tuple[str, Tally]]


class Evaluation(NamedTuple):
    """`metrics` by name; `images` (N, 3, H, W) in [0, 1], those of the first one's size."""

    metrics: dict[str, float]
    images: Tensor


class Validation(NamedTuple):
    """What samples are made of and scored with; the networks are on the device of `alphas`."""

    vae: Any
    scorer: nn.Module
    data: PreparedData
    alphas: Tensor
    prediction_type: str
    config: SamplingConfig
    drop: DropConfig = DROP_NOTHING
    seed: int = 0

    def evaluate(
        self,
        networks: Networks,
        context: Callable[[], AbstractContextManager] = nullcontext,
    ) -> Evaluation:
        """Sample `config.images` images and return their metrics, by number of people F.

        `accuracy_F` is ID-position association and `similarity_F` the cosine with the reference,
        each with a 95 % interval. `truth_accuracy_F` and `truth_similarity_F` are those of the
        original images, an upper bound. `context` is that of `score`.
        """
        scored = self.score(networks, context)
        assert scored is not None
        return combine_scores(scored, self.seed)

    @torch.no_grad()
    def score(
        self,
        networks: Networks,
        context: Callable[[], AbstractContextManager] = nullcontext,
        process: int = 0,
        processes: int = 1,
        proceed: Callable[[int, int], bool] = lambda done, total: True,
    ) -> dict[int, ScoredImage] | None:
        """Sample and score the images of one of several processes; return them by their number.

        The networks run in `context`. Before each batch `proceed` gets how many images are done,
        of how many in all; if it returns False, the result is None.
        """
        device = self.alphas.device
        empty = {name: t.float().to(device) for name, t in self.data.empty_caption().items()}
        examples = Examples(self.data, self.drop, self.seed)
        batches = split_batches(
            self.data.images, choose_images(self.data.images, self.config.images)
        )
        first = batches[0][0]
        numbers = {index: n for n, index in enumerate(i for batch in batches for i in batch)}
        own = batches[process::processes]
        total, scored = sum(map(len, own)), {}
        for indices in own:
            if not proceed(len(scored), total):
                return None
            batch = collate([examples[index, index] for index in indices])
            references = embed_references(self.scorer, self.data, batch, device)
            batch = as_in_nodes(Batch(*(x.to(device) for x in batch)))
            with context():
                latents = sample(
                    networks,
                    make_condition(batch),
                    empty["text"],
                    empty["pooled"],
                    batch.noise,
                    self.alphas,
                    self.prediction_type,
                    self.config,
                )
            sampled = decode_in_parts(self.vae, latents)
            tallies = score_images(self.scorer, batch, sampled, references)
            truth = score_images(
                self.scorer, batch, decode_in_parts(self.vae, batch.latents), references
            )
            for i, index in enumerate(indices):
                kept = numbers[index] < GRID_IMAGES and _size(self.data, index) == _size(
                    self.data, first
                )
                scored[numbers[index]] = ScoredImage(
                    (sampled[i].cpu() * 255).round().byte() if kept else None,
                    [*tallies[i], *((f"truth_{name}", tally) for name, tally in truth[i])],
                )
        return scored


def combine_scores(scored: dict[int, ScoredImage], seed: int = 0) -> Evaluation:
    """Return the evaluation of the images of all processes."""
    tallies: dict[str, list[Tally]] = defaultdict(list)
    ordered = [scored[number] for number in sorted(scored)]
    for name, tally in (named for image in ordered for named in image.tallies):
        tallies[name].append(tally)
    kept = torch.stack([image.image for image in ordered if image.image is not None])
    return Evaluation(compute_metrics(tallies, seed), kept.float() / 255)


def as_in_nodes(batch: Batch) -> Batch:
    """Return the batch with the size conditioning of ComfyUI's nodes: the size, and no crop.

    Source: `SDXL.encode_adm` of ComfyUI's `comfy/model_base.py`.
    """
    width, height = batch.size
    sizes = batch.time_ids.new_tensor([height, width, 0, 0, height, width])
    return batch._replace(time_ids=sizes.expand_as(batch.time_ids))


def decode_in_parts(vae: Any, latents: Tensor) -> Tensor:
    """Return images (B, 3, H, W) in [0, 1] of latents, decoding few large ones at once."""
    pixels = latents.shape[2] * latents.shape[3] * 64
    parts = latents.split(max(DECODE_PIXELS // pixels, 1))
    return torch.cat([decode(vae, part).clamp(0, 1) for part in parts])


def embed_references(
    scorer: nn.Module, data: PreparedData, batch: Batch, device: torch.device
) -> Tensor:
    """Return the scorer's embeddings (B * F, D) of the batch's reference photos."""
    crops = [data.crop(face) for face in batch.reference_faces.flatten().tolist()]
    return embed(scorer, torch.stack(crops).to(device))


def score_images(
    scorer: nn.Module, batch: Batch, images: Tensor, references: Tensor
) -> list[list[tuple[str, Tally]]]:
    """Return each image's similarity and accuracy, with the metric's name.

    `images` (B, 3, H, W) in [0, 1]; `references` (B * F, D).
    """
    people = batch.groups.shape[1]
    image_of = torch.arange(len(images), device=images.device).repeat_interleave(people)
    keypoints = list(batch.keypoints.flatten(0, 1).double().cpu().numpy())
    faces = embed_crops(scorer, align_faces(images[image_of], keypoints))  # (B * F, D)
    tallies = []
    for reference, face in zip(references.split(people), faces.split(people), strict=True):
        assignment = make_assignment(cosines(reference, face), range(people))
        tallies.append(
            [
                (f"similarity_{people}", face_similarity(assignment)),
                (f"accuracy_{people}", association_accuracy(assignment)),
            ]
        )
    return tallies


def cosines(references: Tensor, faces: Tensor) -> np.ndarray:
    """Return (F, F): rows are references, columns faces, both embeddings (F, D)."""
    return (references @ faces.T).double().cpu().numpy()


def compute_metrics(tallies: dict[str, list[Tally]], seed: int) -> dict[str, float]:
    """Return the mean of each metric, and the interval of those of sampled images."""
    metrics = {}
    for name, parts in sorted(tallies.items()):
        metrics[name] = pooled(parts).value
        if not name.startswith("truth_"):
            metrics[f"{name}_low"], metrics[f"{name}_high"] = bootstrap_interval(parts, seed)
    return metrics


def _size(data: PreparedData, index: int) -> tuple[int, int]:
    return data.images[index].width, data.images[index].height
