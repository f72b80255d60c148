"""Samples images of people who were not trained on, and scores identity and placement.

    python -m idpatch_core.training.validate RUN [--images N] [--without tokens patches pose]
        [--guide-patches | --no-guide-patches]

Faces are read at the keypoints of the image that the pose is from: a face elsewhere counts as
wrong.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..arcface import embed, load_arcface
from ..verification.assignment import make_assignment
from ..verification.metrics import association_accuracy, face_similarity
from ..verification.tally import Tally, bootstrap_interval, pooled
from .base_model import decode, load_alphas, load_vae
from .config import Config, DropConfig, SamplingConfig
from .data import Batch, PreparedData, evaluation_batches
from .export import load_run
from .frozen_networks import embed_crops
from .networks import Networks
from .objective import make_condition
from .sampling import sample
from .torch_alignment import align_faces

DROP_NOTHING = DropConfig(0.0, 0.0, 0.0, 0.0)
BATCH_SIZE = 16


class Evaluation(NamedTuple):
    """`metrics` by name; `images` (N, 3, H, W) in [0, 1], those of the first one's size."""

    metrics: dict[str, float]
    images: Tensor


@torch.no_grad()
def evaluate(
    networks: Networks,
    vae: Any,
    scorer: nn.Module,
    data: PreparedData,
    alphas: Tensor,
    prediction_type: str,
    config: SamplingConfig,
    drop: DropConfig = DROP_NOTHING,
    seed: int = 0,
) -> Evaluation:
    """Sample `config.images` images and return their metrics, by number of people F.

    `accuracy_F` is ID-position association and `similarity_F` the cosine with the reference, each
    with a 95 % interval. `truth_accuracy_F` and `truth_similarity_F` are those of the original
    images, an upper bound.
    """
    device = alphas.device
    empty = {name: t.float().to(device) for name, t in data.empty_caption().items()}
    tallies: dict[str, list[Tally]] = defaultdict(list)
    images: list[Tensor] = []
    for batch in evaluation_batches(data, config.images, BATCH_SIZE, drop, seed):
        references = embed_references(scorer, data, batch, device)
        batch = Batch(*(x.to(device) for x in batch))
        latents = sample(
            networks,
            make_condition(batch),
            empty["text"],
            empty["pooled"],
            batch.noise,
            alphas,
            prediction_type,
            config,
        )
        sampled = decode(vae, latents).clamp(0, 1)
        images += list(sampled.cpu())
        original = decode(vae, batch.latents).clamp(0, 1)
        for prefix, batch_images in (("", sampled), ("truth_", original)):
            for name, tally in score_images(scorer, batch, batch_images, references):
                tallies[prefix + name].append(tally)
    shape = images[0].shape
    same_size = [image for image in images if image.shape == shape]
    return Evaluation(compute_metrics(tallies, seed), torch.stack(same_size))


def embed_references(
    scorer: nn.Module, data: PreparedData, batch: Batch, device: torch.device
) -> Tensor:
    """Return the scorer's embeddings (B * F, D) of the batch's reference photos."""
    crops = [data.crop(face) for face in batch.reference_faces.flatten().tolist()]
    return embed(scorer, torch.stack(crops).to(device))


def score_images(
    scorer: nn.Module, batch: Batch, images: Tensor, references: Tensor
) -> list[tuple[str, Tally]]:
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
        tallies.append((f"similarity_{people}", face_similarity(assignment)))
        tallies.append((f"accuracy_{people}", association_accuracy(assignment)))
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


def make_grid(images: Tensor, columns: int = 4) -> Tensor:
    """Arrange images (N, 3, h, w) row by row in one (3, H, W); the remaining cells are black."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    cells = torch.zeros(rows * columns, channels, height, width)
    cells[:count] = images
    cells = cells.view(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    return cells.reshape(channels, rows * height, columns * width)


def save_image(image: Tensor, path: Path) -> None:
    """Write an image (3, H, W) in [0, 1]."""
    from PIL import Image

    array = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(path)


def load_scorer_network(config: Config) -> nn.Module:
    """Load the face model of the metrics: the config's scorer, or the conditioning model."""
    return load_arcface(config.models.scorer or config.models.face_model)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.training.validate",
        description="Samples from a run's last checkpoint and scores identity and placement.",
    )
    parser.add_argument("run", type=Path, help="the run's output folder")
    parser.add_argument("--images", type=int, help="how many, over all numbers of people")
    parser.add_argument("--without", nargs="*", choices=("tokens", "patches", "pose"), default=[])
    parser.add_argument(
        "--guide-patches",
        action=argparse.BooleanOptionalAction,
        help="hide the patches from the negative branch; the default is the run's setting",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--step", type=int, help="of the checkpoint; the last by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    networks, config = load_run(options.run, options.step)
    if not config.data.evaluation or not (config.models.scorer or config.models.face_model):
        parser.error("the run's config names no data.evaluation or no face model")
    sampling = config.sampling
    if options.images:
        sampling = replace(sampling, images=options.images)
    if options.guide_patches is not None:
        sampling = replace(sampling, guide_patches=options.guide_patches)
    alphas, prediction_type = load_alphas(config.models.base)
    device = torch.device(options.device)
    evaluation = evaluate(
        networks.to(device).eval(),
        load_vae(config.models.base).requires_grad_(False).to(device),
        load_scorer_network(config).to(device),
        PreparedData(config.data.evaluation),
        alphas.to(device),
        prediction_type,
        sampling,
        replace(DROP_NOTHING, **dict.fromkeys(options.without, 1.0)),
        options.seed,
    )
    variants = [f"without-{n}" for n in options.without] + ["guided"] * sampling.guide_patches
    name = "-".join(["evaluation", *variants, str(options.seed)])
    (options.run / f"{name}.json").write_text(json.dumps(evaluation.metrics, indent=1), "utf-8")
    save_image(make_grid(evaluation.images[:16]), options.run / f"{name}.png")
    for key, value in evaluation.metrics.items():
        print(f"{key:28} {value:.3f}")
    return evaluation.metrics


if __name__ == "__main__":
    main()
