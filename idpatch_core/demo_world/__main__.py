"""Makes the demo world and trains everything in it: see the package."""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..training.base_model import load_vae
from ..training.config_file import build_dataclass, load_config, read_settings
from ..training.find_people import PrepareOptions
from ..training.prepare import prepare_images
from ..training.sources import find_sources, read_annotation
from . import train_base, train_vae
from .scenes import write_scenes
from .train_detector import Scenes, quality, train_face_detector
from .train_encoder import crops, top_one, train_face_encoder

HERE = Path(__file__).parent
STEPS = ("scenes", "detector", "faces", "vae", "base", "prepare", "stage1", "stage2", "stage3")
Range = tuple[int, int]


@dataclass(frozen=True)
class People:
    scenes: Range
    more: Range
    conditioning: Range
    scoring: Range
    evaluation: Range


@dataclass(frozen=True)
class Pictures:
    training: int
    more: int
    evaluation: int


@dataclass(frozen=True)
class Detector:
    steps: int
    batch: int


@dataclass(frozen=True)
class Faces:
    each: int
    steps: int
    batch: int
    conditioning: tuple[Range, ...]  # blocks: channels into and out of each
    scoring: tuple[Range, ...]


@dataclass(frozen=True)
class Vae:
    channels: int
    steps: int
    batch: int


@dataclass(frozen=True)
class Base:
    steps: int
    batch: int


@dataclass(frozen=True)
class World:
    seed: int
    workers: int
    precision: Literal["no", "bf16"]
    people: People
    pictures: Pictures
    detector: Detector
    faces: Faces
    vae: Vae
    base: Base


def make(folder: Path, world: World, steps: tuple[str, ...], changes: list[str]) -> None:
    """Make the world's parts that are not there yet, in order."""
    for part, make_part in PARTS.items():
        if part in steps:
            make_part(folder, world)
    for stage in ("stage1", "stage2", "stage3"):
        if stage in steps:
            train_stage(folder, HERE / f"{stage}.toml", changes)


def make_scenes(folder: Path, world: World) -> None:
    sets: dict[str, tuple[Range, int, tuple[int, ...]]] = {
        "training": (world.people.scenes, world.seed, (0,)),
        "more": (world.people.more, world.seed + 1, (0,)),
        "evaluation": (world.people.evaluation, world.seed, (1, 2, 3, 4)),
    }
    for name, (who, seed, people) in sets.items():
        count = getattr(world.pictures, name)
        write_scenes(folder / "scenes" / name, count, *who, seed, world.workers, people)


def make_detector(folder: Path, world: World) -> None:
    detector = train_face_detector(
        folder / "faces" / "detector.onnx",
        Scenes(folder / "scenes" / "training", read_pictures(folder, "training")),
        *world.people.scenes,
        world.detector.steps,
        world.detector.batch,
        world.seed,
    )
    found, off = quality(detector, *world.people.evaluation)
    print(f"detector: finds {found:.1%} of unseen people, {off:.1%} of their eyes' distance off")
    note(folder, "detector", {"found": found, "off": off})


def make_vae(folder: Path, world: World) -> None:
    pictures, settings = read_pictures(folder, "training"), world.vae
    network = train_vae.train_vae(
        folder / "base" / "vae",
        pictures,
        settings.channels,
        settings.steps,
        settings.batch,
        world.seed,
        world.precision,
    )
    quality = train_vae.restored(network, read_pictures(folder, "evaluation")[:64])
    print(f"VAE: {quality:.1f} dB on other people")
    note(folder, "vae", {"psnr": quality})


def make_base(folder: Path, world: World) -> None:
    settings = world.base
    latents, captions = read_latents(folder, world.precision)
    train_base.train_base(
        folder / "base",
        latents,
        captions,
        settings.steps,
        settings.batch,
        world.seed,
        world.precision,
    )


def prepare_scenes(folder: Path, world: World) -> None:
    options = PrepareOptions(resolution=0, multiple=32, min_face_width=24)
    models = str(folder / "base"), str(folder / "faces" / "conditioning.safetensors")
    for name in vars(world.pictures):
        target = folder / "prepared" / name
        prepare_images(folder / "scenes" / name, target, *models, options, world.workers)


def make_face_encoders(folder: Path, world: World) -> None:
    faces = folder / "faces"
    unseen = crops(faces / "unseen.crops", *world.people.evaluation, 2, world.workers)
    for seed, name in enumerate(("conditioning", "scoring")):
        settings = world.faces
        who: Range = getattr(world.people, name)
        drawn = crops(faces / f"{name}.crops", *who, settings.each, world.workers)
        network = train_face_encoder(
            faces / f"{name}.safetensors",
            drawn,
            list(getattr(settings, name)),
            settings.steps,
            settings.batch,
            world.seed + seed,
            world.precision,
        )
        right = top_one(network, unseen)
        print(f"{name} encoder: {right:.1%} of {len(unseen)} unseen people recognised")
        note(folder, name, {"top_one": right, "of": len(unseen)})


def note(folder: Path, name: str, figures: dict[str, Any]) -> None:
    """Keep figures for the model card in `figures.json`."""
    path = folder / "figures.json"
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, name: figures}, indent=1), "utf-8")


def read_pictures(folder: Path, name: str) -> Tensor:
    """Return all scenes (N, H, W, 3) uint8."""
    import numpy as np
    from PIL import Image

    sources = find_sources(folder / "scenes" / name)
    first = np.array(Image.open(sources[0].image.path))
    pictures = torch.empty(len(sources), *first.shape, dtype=torch.uint8)
    for i, source in enumerate(sources):
        pictures[i] = torch.from_numpy(np.array(Image.open(source.image.path)))
    return pictures


@torch.no_grad()
def read_latents(folder: Path, precision: str) -> tuple[tuple[Tensor, Tensor], list[str]]:
    """Return the training scenes' scaled latents (means and deviations), and their captions."""
    from tqdm import tqdm

    network = load_vae(str(folder / "base"))
    file = folder / "latents.safetensors"
    if not file.is_file():
        parts = read_pictures(folder, "training").split(8)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            parts = [train_vae.encode(network, part) for part in tqdm(parts, desc="latents")]
        means, deviations = (
            torch.cat(half).half().contiguous() for half in zip(*parts, strict=True)
        )
        save_file({"means": means, "deviations": deviations}, file.with_suffix(".writing"))
        file.with_suffix(".writing").replace(file)
    stored = load_file(file)
    scale = network.config.scaling_factor
    sources = find_sources(folder / "scenes" / "training")
    captions = [read_annotation(source.annotation).caption for source in sources]
    return (stored["means"] * scale, stored["deviations"] * scale), captions


def train_stage(folder: Path, recipe: Path, changes: list[str]) -> None:
    """Train by a recipe whose paths lie in the folder."""
    from ..training.trainer import train

    settings = read_settings(recipe)
    inside = [
        f"{section}.{name}={folder / settings[section][name]}"
        for section, names in PATHS.items()
        for name in names
        if name in settings[section]
    ]
    train(load_config(recipe, [*inside, *changes]))


PARTS = {
    "scenes": make_scenes,
    "detector": make_detector,
    "faces": make_face_encoders,
    "vae": make_vae,
    "base": make_base,
    "prepare": prepare_scenes,
}
PATHS = {
    "models": ("base", "unet", "controlnet", "id_patch", "face_model", "detector", "scorer"),
    "data": ("prepared", "evaluation"),
    "run": ("output",),
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.demo_world",
        description="Makes the demo world and trains everything in it; goes on where it was.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--world", type=Path, default=HERE / "world.toml", help="what to make")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS, help="these parts")
    parser.add_argument(
        "--stage",
        type=Path,
        help="train by this recipe instead, with its paths inside the folder: for ablations",
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="section.setting=value")
    options = parser.parse_args(arguments)
    try:
        if options.stage:
            train_stage(options.folder, options.stage, options.set)
        else:
            world = build_dataclass(World, read_settings(options.world))
            make(options.folder, world, tuple(options.only), options.set)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
