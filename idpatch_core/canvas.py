"""Composes the condition image: the base picture plus everybody's ID patch at their place.

In models that were trained so, a patch is as large as the face; in the release all are of one size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Point

LATENT_SCALE = 8  # pixels of the image along one side of a latent pixel


class Hint(NamedTuple):
    """What the ControlNet sees, and who was put where.

    `image` is the float condition image (1, 3, H, W); it leaves [0, 1] and must not be clamped,
    quantised or resized. `base` (1, 3, H, W) in [0, 1] is the same without patches. `points` holds
    one entry for each person, None for a person who was taken off the canvas; `names` are the
    people's names in the same order.
    """

    image: Tensor
    base: Tensor
    points: tuple[Point | None, ...]
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        return self.image.shape[3]

    @property
    def height(self) -> int:
        return self.image.shape[2]


# A face is about this much wider than its eyes are apart: 0.66 of ArcFace's aligned crop of 112
# pixels, where they are 35 pixels apart (insightface's `arcface_dst`).
FACE_TO_EYES = 2.1
LEAST, MOST = 0.5, 4.0  # times the size that a patch was made in


def face_side(eyes: float | None, size: int) -> int:
    """Return the side in pixels of a patch that is as large as the face.

    `eyes` is the distance of the eyes in pixels, None if it is not known; `size` is what the patch
    was made in.
    """
    if eyes is None:
        return size
    return round(min(max(FACE_TO_EYES * eyes, LEAST * size), MOST * size))


def resize_patch(patch: Tensor, side: int) -> Tensor:
    """Return a patch (3, P, P) in another size (3, side, side), bilinear."""
    if patch.shape[-1] == side:
        return patch
    size = (side, side)
    return F.interpolate(
        patch[None], size, mode="bilinear", align_corners=False, antialias=True
    ).squeeze(0)


def compose(
    base: Tensor, patches: Sequence[Tensor] | Tensor, points: Sequence[Point | None]
) -> Tensor:
    """Add everybody's ID patch to the base picture, centred on their point.

    `base` (1, 3, H, W) float in [0, 1]; `patches` (F, 3, P, P) or one (3, P, P) each; one
    point in pixels for each person, None for no patch. Overlapping patches add up, a patch is cut
    at the edge, and a person whose point lies outside the picture gets none. Returns (1, 3, H, W)
    float32 without clamping.
    Source: `modules/inferencer.py` of the reference, with positions kept in float32.
    """
    if len(points) != len(patches):
        raise ValueError(f"{len(points)} points for {len(patches)} people; give one point each.")
    height, width = base.shape[2:]
    canvas = torch.zeros_like(base, dtype=torch.float32)
    for patch, point in zip(patches, points, strict=True):
        if point is not None:
            _add_patch(
                canvas[0], patch.to(canvas), *_top_left(point, patch.shape[-1]), width, height
            )
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
