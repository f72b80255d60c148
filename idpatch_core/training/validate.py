"""Samples pictures of people who were not trained on and scores who stands where.

    python -m idpatch_core.training.validate RUN [--pictures N] [--without tokens patches pose]
        [--guide-patches | --no-guide-patches]

Faces are looked at where they belong, at the keypoints of the picture the pose is from: a face in
another place counts as wrong.
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
from ..verification.metrics import (
    Tally,
    association_accuracy,
    bootstrap_interval,
    face_similarity,
    make_assignment,
)
from .config import Config, Drop, Sampling
from .data import Prepared, evaluation_batches
from .networks import FrozenNetworks, Networks, face_features, load_alphas, load_vae
from .objective import condition
from .sampling import sample
from .torch_alignment import align_faces

EVERYTHING = Drop(0.0, 0.0, 0.0, 0.0)
BATCH = 16


class Result(NamedTuple):
    """`metrics` by name; `pictures` (N, 3, H, W) in [0, 1] of the first size."""

    metrics: dict[str, float]
    pictures: Tensor


@torch.no_grad()
def evaluate(
    networks: Networks,
    vae: FrozenNetworks,
    scorer: nn.Module,
    prepared: Prepared,
    alphas: Tensor,
    kind: str,
    settings: Sampling,
    drop: Drop = EVERYTHING,
    seed: int = 0,
) -> Result:
    """Sample `settings.pictures` pictures and return their metrics, by number of people.

    `accuracy_F` is ID-position association and `similarity_F` the cosine with the reference, each
    with a 95 % interval; `truth_similarity_F` is the cosine of the real picture's faces, the most
    that can be expected.
    """
    device = alphas.device
    empty = {k: v.float().to(device) for k, v in _empty(prepared).items()}
    tallies: dict[str, list[Tally]] = defaultdict(list)
    shown: list[Tensor] = []
    for batch in evaluation_batches(prepared, settings.pictures, BATCH, drop, seed):
        people = batch.groups.shape[1]
        references = torch.stack(
            [prepared.crop(n) for n in batch.reference_numbers.flatten().tolist()]
        )
        wanted = embed(scorer, references.to(device))  # (B * F, D)
        batch = type(batch)(*(x.to(device) for x in batch))
        latents = sample(
            networks,
            condition(batch),
            empty["text"],
            empty["pooled"],
            batch.noise,
            alphas,
            kind,
            settings,
        )
        pictures = vae.decode(latents).clamp(0, 1)
        shown += list(pictures.cpu())
        for name, source in (("", pictures), ("truth_", vae.decode(batch.latents).clamp(0, 1))):
            owner = torch.arange(len(source), device=device).repeat_interleave(people)
            points = list(batch.keypoints.flatten(0, 1).double().cpu().numpy())
            found = face_features(scorer, align_faces(source[owner], points))
            for mine, theirs in zip(wanted.split(people), found.split(people), strict=True):
                assignment = make_assignment(_cosines(mine, theirs), range(people))
                tallies[f"{name}similarity_{people}"].append(face_similarity(assignment))
                tallies[f"{name}accuracy_{people}"].append(association_accuracy(assignment))
    metrics = {}
    for name, parts in sorted(tallies.items()):
        metrics[name] = sum(p.total for p in parts) / sum(p.count for p in parts)
        if not name.startswith("truth_"):
            metrics[f"{name}_low"], metrics[f"{name}_high"] = bootstrap_interval(parts, seed)
    first = shown[0].shape
    return Result(metrics, torch.stack([x for x in shown if x.shape == first]))


def _cosines(references: Tensor, faces: Tensor) -> np.ndarray:
    return (references @ faces.T).double().cpu().numpy()


def _empty(prepared: Prepared) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    from .data import EMPTY

    return load_file(prepared.folder / EMPTY)


def grid(pictures: Tensor, columns: int = 4) -> Tensor:
    """Return one picture (3, H, W) of many (N, 3, h, w), row by row; empty places are black."""
    count, channels, height, width = pictures.shape
    rows = -(-count // columns)
    filled = torch.zeros(rows * columns, channels, height, width)
    filled[:count] = pictures
    filled = filled.view(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    return filled.reshape(channels, rows * height, columns * width)


def save_picture(picture: Tensor, path: Path) -> None:
    """Write a picture (3, H, W) in [0, 1]."""
    from PIL import Image

    array = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(path)


def load_scorer_network(config: Config) -> nn.Module:
    """Load the face network that scores: another one than the conditioning one, if given."""
    return load_arcface(config.models.scorer or config.models.face_model)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    from .export import load_run

    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.training.validate",
        description="Samples from a run's last checkpoint and scores who stands where.",
    )
    parser.add_argument("run", type=Path, help="the run's output folder")
    parser.add_argument("--pictures", type=int, help="how many, over all numbers of people")
    parser.add_argument("--without", nargs="*", choices=("tokens", "patches", "pose"), default=[])
    parser.add_argument(
        "--guide-patches",
        action=argparse.BooleanOptionalAction,
        help="hide the patches from the negative branch; by default as the run's config says",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--step", type=int, help="of the checkpoint; the last by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    networks, config = load_run(options.run, options.step)
    if not config.data.evaluation or not (config.models.scorer or config.models.face_model):
        parser.error("the run's config names no data.evaluation or no face model")
    settings = config.sampling
    if options.pictures:
        settings = replace(settings, pictures=options.pictures)
    if options.guide_patches is not None:
        settings = replace(settings, guide_patches=options.guide_patches)
    alphas, kind = load_alphas(config.models.base)
    device = torch.device(options.device)
    scorer = load_scorer_network(config).to(device)
    result = evaluate(
        networks.to(device).eval(),
        FrozenNetworks(load_vae(config.models.base), None, None).to(device),
        scorer,
        Prepared(config.data.evaluation),
        alphas.to(device),
        kind,
        settings,
        Drop(**{**EVERYTHING.__dict__, **{name: 1.0 for name in options.without}}),
        options.seed,
    )
    kinds = [f"without-{n}" for n in options.without] + ["guided"] * settings.guide_patches
    name = "-".join(["evaluation", *kinds, str(options.seed)])
    (options.run / f"{name}.json").write_text(json.dumps(result.metrics, indent=1), "utf-8")
    save_picture(grid(result.pictures[:16]), options.run / f"{name}.png")
    for key, value in result.metrics.items():
        print(f"{key:28} {value:.3f}")
    return result.metrics


if __name__ == "__main__":
    main()
