"""The files of a world's folder that several steps read or write."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from ..training.sources import find_sources


def load_scenes(folder: Path) -> Tensor:
    """Return all scenes of a set, (N, H, W, 3) uint8, in the order of `find_sources`."""
    from PIL import Image

    paths = [source.image.path for source in find_sources(folder)]
    first = np.array(Image.open(paths[0]))
    images = torch.empty(len(paths), *first.shape, dtype=torch.uint8)
    for index, path in enumerate(paths):
        images[index] = torch.from_numpy(np.array(Image.open(path)))
    return images


def save_tensors(tensors: dict[str, Tensor], file: Path) -> None:
    """Write a safetensors file that is never there in part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".writing")
    save_file(tensors, temporary)
    temporary.replace(file)


def record_figures(folder: Path, name: str, figures: dict[str, Any]) -> None:
    """Add figures for the model card to `figures.json`."""
    path = folder / "figures.json"
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, name: figures}, indent=1), "utf-8")
