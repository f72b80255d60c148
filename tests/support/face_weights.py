"""Weights of an IR-SE50 by formula, instead of the 175 MB file."""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def released_shapes() -> dict[str, list[int]]:
    """Return the names and shapes in the released weight file."""
    return json.loads((REFERENCE / "arcface_ir_se50_keys.json").read_text())


def formula_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return the weights of one entry of an IR-SE50.

    With those of all entries of arcface_ir_se50_keys.json, the BGR crops of faces.safetensors,
    scaled to [-1, 1], give the unit-length embeddings stored there, to 1e-5 in float32 on the CPU.
    """
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    count = int(np.prod(shape)) if len(shape) else 1
    seed = sum(ord(c) * (i + 1) for i, c in enumerate(name)) % 9973
    u = np.sin(12.9898 * (np.arange(count, dtype=np.float64) + 1) + 0.37 * seed) * 43758.5453
    u -= np.floor(u)
    if name.endswith("running_var"):
        values = 0.5 + u
    elif len(shape) > 1:
        values = (u - 0.5) * math.sqrt(12.0 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        values = 0.8 + 0.4 * u
    else:
        values = 0.2 * (u - 0.5)
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


def formula_state(shapes: dict[str, list[int]] | None = None) -> dict[str, Tensor]:
    """Return weights by formula, with the released file's names and shapes by default."""
    shapes = released_shapes() if shapes is None else shapes
    return {name: formula_weight(name, tuple(shape)) for name, shape in shapes.items()}


def write_formula_weights(path: Path) -> Path:
    """Write them as the released file is: a plain pickle of tensors."""
    torch.save(formula_state(), path)
    return path
