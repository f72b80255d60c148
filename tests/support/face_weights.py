"""The formula weights of tests/data/reference: an IR-SE50 without its 175 MB file."""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def released_shapes() -> dict[str, list[int]]:
    """Return the names and shapes in the released weight file."""
    return json.loads((REFERENCE / "arcface_ir_se50_keys.json").read_text())


def formula_state(shapes: dict[str, list[int]] | None = None) -> dict[str, Tensor]:
    """Return weights by formula, with the released file's names and shapes by default."""
    sys.path.insert(0, str(REFERENCE))
    try:
        from formula_weights import formula_weight  # pyright: ignore[reportMissingImports]
    finally:
        sys.path.remove(str(REFERENCE))
    shapes = released_shapes() if shapes is None else shapes
    return {name: formula_weight(name, tuple(shape)) for name, shape in shapes.items()}


def write_formula_weights(path: Path) -> Path:
    """Write them as the released file is: a plain pickle of tensors."""
    torch.save(formula_state(), path)
    return path
