"""Composes the condition image: the base picture plus everybody's ID patch at their place."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .layout import Point


class Hint(NamedTuple):
    """What the ControlNet sees, and who was put where.

    `image` is the float condition image (1, 3, H, W); it leaves [0, 1] and must not be clamped,
    quantised or resized. `points` holds one entry for each person, None for a person who was
    taken off the canvas; `names` are the people's names in the same order.
    """

    image: Tensor
    points: tuple[Point | None, ...]
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        return self.image.shape[3]

    @property
    def height(self) -> int:
        return self.image.shape[2]


def compose(base: Tensor, patches: Tensor, points: Sequence[Point | None]) -> Tensor:
    """Add everybody's ID patch to the base picture, centred on their point.

    `base` (1, 3, H, W) float in [0, 1]; `patches` (F, 3, P, P); one point in pixels for each
    person, None for no patch. Overlapping patches add up, a patch is cut at the edge, and a person
    whose point lies outside the picture gets none. Returns (1, 3, H, W) float32 without clamping.
    Source: `modules/inferencer.py` of the reference, with positions kept in float32.
    """
    if len(points) != len(patches):
        raise ValueError(f"{len(points)} points for {len(patches)} people; give one point each.")
    height, width = base.shape[2:]
    canvas = torch.zeros_like(base, dtype=torch.float32)
    for patch, point in zip(patches.to(canvas), points, strict=True):
        if point is not None:
            _add_patch(canvas[0], patch, *_top_left(point, patch.shape[-1]), width, height)
    return base.float() + canvas


def _top_left(point: Point, size: int) -> tuple[float, float]:
    """Round to whole pixels as the reference does: half to even, in float32."""
    left, top = np.rint(np.array(point, np.float32) - np.float32(size // 2))
    return float(left), float(top)


def _add_patch(
    canvas: Tensor, patch: Tensor, left: float, top: float, width: int, height: int
) -> None:
    half, size = patch.shape[-1] // 2, patch.shape[-1]
    if not (0 <= left + half < width and 0 <= top + half < height):
        return
    x, y = int(left), int(top)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size, width), min(y + size, height)
    canvas[:, y0:y1, x0:x1] += patch[:, y0 - y : y1 - y, x0 - x : x1 - x]
