"""Samples from a run's checkpoint and scores identity and placement.

    python -m idpatch_core.training.validate RUN [--images N] [--without tokens patches pose]
        [--guide-patches | --no-guide-patches]

See `validation` for what is measured. On CUDA, the networks run in the run's precision.
"""

import argparse
import json
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .base_model import load_alphas, load_vae
from .config import Config
from .export import load_run
from .frozen_networks import load_scorer_network
from .image_grid import make_grid, save_image
from .precision import HALF_DTYPES
from .prepared_data import PreparedData
from .validation import DROP_NOTHING, Evaluation, Validation


def validate(run: Path, options: argparse.Namespace) -> tuple[Evaluation, str]:
    """Return the evaluation, and the name of the files that it is written to.

    Raises ValueError if the run has no checkpoint, or its config no evaluation data or scorer.
    """
    networks, config = load_run(run, options.step)
    if not config.data.evaluation or not (config.models.scorer or config.models.face_model):
        raise ValueError("run: its config names no data.evaluation or no face model.")
    sampling = config.sampling
    if options.images is not None:
        sampling = replace(sampling, images=options.images)
    if options.guide_patches is not None:
        sampling = replace(sampling, guide_patches=options.guide_patches)
    alphas, prediction_type = load_alphas(config.models.base)
    device = torch.device(options.device)
    validation = Validation(
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
    evaluation = validation.evaluate(
        networks.to(device).eval(), lambda: run_precision(config, device)
    )
    return evaluation, name


def run_precision(config: Config, device: torch.device) -> AbstractContextManager:
    """Return the context in which the networks ran in training, on CUDA; else full precision."""
    dtype = HALF_DTYPES.get(config.run.mixed_precision)
    if device.type != "cuda" or dtype is None:
        return nullcontext()
    return torch.autocast("cuda", dtype)


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
    if options.images is not None and options.images < 1:
        parser.error(f"--images: expected 1 or more, got {options.images}")
    try:
        evaluation, name = validate(options.run, options)
    except ValueError as error:
        sys.exit(f"{error}")
    (options.run / f"{name}.json").write_text(json.dumps(evaluation.metrics, indent=1), "utf-8")
    save_image(make_grid(evaluation.images[:16]), options.run / f"{name}.png")
    for key, value in evaluation.metrics.items():
        print(f"{key:28} {value:.3f}")
    return evaluation.metrics


if __name__ == "__main__":
    main()
