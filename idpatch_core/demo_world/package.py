"""Gathers a trained world into one folder of fp16 files, for the node Load Demo Models.

    python -m idpatch_core.demo_world.package WORLD FOLDER [--stage stage3] \
        [--portraits FOLDER]

`unet`, `vae`, `text_encoder`, `text_encoder_2` and `controlnet` are weights and configs of
diffusers, `tokenizer/` the vocabulary, `id-patch.safetensors` the projections, `detector.onnx` the
face detector, `face.safetensors` the conditioning face encoder and `scorer.safetensors` the scoring
one.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ..safetensors_file import write_safetensors
from .portraits import write_portraits

MAX_BYTES = 60e6  # of all files together
# People of the evaluation who look different from each other.
DEMO_PEOPLE = {
    "Ada": 30926,
    "Ben": 30933,
    "Cleo": 30956,
    "Dan": 30913,
    "Eve": 30925,
    "Finn": 30935,
    "Gus": 30959,
    "Hana": 30968,
}


def package_world(world: Path, target: Path, stage: str = "stage3") -> int:
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
            raise ValueError(
                f"world: {path} is missing. "
                f"Finish the world with `python -m idpatch_core.demo_world {world}`."
            )
    target.mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        (weights,) = folder.glob("*.safetensors")
        _write_fp16(weights, target / f"{name}.safetensors")
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config.pop("_name_or_path", None)  # a path of this machine
        (target / f"{name}.json").write_text(json.dumps(config, indent=1), "utf-8")
    for name, file in files.items():
        _write_fp16(file, target / name)
    shutil.copy(detector, target / "detector.onnx")
    shutil.copytree(world / "base" / "tokenizer", target / "tokenizer", dirs_exist_ok=True)
    if (world / "figures.json").is_file():
        shutil.copy(world / "figures.json", target / "figures.json")
    return sum(file.stat().st_size for file in target.rglob("*") if file.is_file())


def _write_fp16(source: Path, target: Path) -> None:
    with safe_open(source, "pt") as file:
        metadata = file.metadata()
    tensors = {
        name: tensor.half() if tensor.dtype == torch.float32 else tensor
        for name, tensor in load_file(source).items()
    }
    write_safetensors(tensors, target, metadata)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m idpatch_core.demo_world.package")
    parser.add_argument("world", type=Path, help="folder of a trained world")
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--stage", default="stage3", help="name of the run to package")
    parser.add_argument("--portraits", type=Path, help="folder for the portraits of the demo")
    options = parser.parse_args(arguments)
    try:
        size = package_world(options.world, options.folder, options.stage)
    except ValueError as error:
        parser.error(str(error))
    if options.portraits:
        write_portraits(options.portraits, DEMO_PEOPLE)
    print(f"{options.folder}: {size / 1e6:.1f} MB")
    if size > MAX_BYTES:
        parser.exit(1, f"That is more than {MAX_BYTES / 1e6:.0f} MB.\n")


if __name__ == "__main__":
    main()
