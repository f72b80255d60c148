"""Gathers a trained world into one folder of fp16 files, for the node Load Demo Models.

    python -m idpatch_core.demo_world.package WORLD FOLDER [--stage stage3] \
        [--portraits FOLDER]

`unet`, `vae`, `text_encoder`, `text_encoder_2` and `controlnet` are diffusers' weights and configs,
`tokenizer/` the words, `id-patch.safetensors` the projections, `detector.onnx` what finds faces,
`face.safetensors` the face encoder that conditions and `scorer.safetensors` the one that scores.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .scenes import portrait

LARGEST = 60e6  # bytes, all files together
# People of the evaluation, who look different from each other.
PORTRAITS = {
    "Ada": 30926,
    "Ben": 30933,
    "Cleo": 30956,
    "Dan": 30913,
    "Eve": 30925,
    "Finn": 30935,
    "Gus": 30959,
    "Hana": 30968,
}


def package(world: Path, target: Path, stage: str = "stage3") -> int:
    """Write the folder; return its size in bytes. Raises ValueError if a part is missing."""
    export = world / stage / "export"
    unet = export / "unet" if (export / "unet").is_dir() else world / "base" / "unet"
    folders = {
        "unet": unet,
        "controlnet": export / "ControlNetModel",
        **{n: world / "base" / n for n in ("vae", "text_encoder", "text_encoder_2")},
    }
    files = {
        "id-patch.safetensors": export / "id-patch.safetensors",
        "face.safetensors": world / "faces" / "conditioning.safetensors",
        "scorer.safetensors": world / "faces" / "scoring.safetensors",
    }
    detector = world / "faces" / "detector.onnx"
    for path in (*folders.values(), *files.values(), detector):
        if not path.exists():
            raise ValueError(f"world: {path} is missing. Let the demo world's command finish.")
    target.mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        (weights,) = folder.glob("*.safetensors")
        _halve(weights, target / f"{name}.safetensors")
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config.pop("_name_or_path", None)  # of this machine
        (target / f"{name}.json").write_text(json.dumps(config, indent=1), "utf-8")
    for name, file in files.items():
        _halve(file, target / name)
    shutil.copy(detector, target / "detector.onnx")
    shutil.copytree(world / "base" / "tokenizer", target / "tokenizer", dirs_exist_ok=True)
    if (world / "figures.json").is_file():
        shutil.copy(world / "figures.json", target / "figures.json")
    return sum(file.stat().st_size for file in target.rglob("*") if file.is_file())


def _halve(source: Path, target: Path) -> None:
    from safetensors import safe_open

    with safe_open(source, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(source)
    save_file(
        {n: t.half() if t.dtype == torch.float32 else t for n, t in tensors.items()},
        target,
        metadata,
    )


def write_portraits(target: Path) -> None:
    """Draw the people that Load Demo Portrait offers."""
    from PIL import Image

    target.mkdir(parents=True, exist_ok=True)
    for name, number in PORTRAITS.items():
        Image.fromarray(portrait(number, 0)).save(target / f"{name}.png")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m idpatch_core.demo_world.package")
    parser.add_argument("world", type=Path, help="the folder that was trained in")
    parser.add_argument("folder", type=Path, help="what to write")
    parser.add_argument(
        "--stage", default="stage3", help="stage1, stage2, stage3 or another run in it"
    )
    parser.add_argument("--portraits", type=Path, help="where to draw the demo's portraits")
    options = parser.parse_args(arguments)
    try:
        size = package(options.world, options.folder, options.stage)
    except ValueError as error:
        parser.error(str(error))
    if options.portraits:
        write_portraits(options.portraits)
    print(f"{options.folder}: {size / 1e6:.1f} MB")
    if size > LARGEST:
        parser.exit(1, f"That is more than {LARGEST / 1e6:.0f} MB.\n")


if __name__ == "__main__":
    main()
