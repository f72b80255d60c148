"""How patches that overlap are combined: added up, or divided among their people."""

from collections.abc import Sequence

import torch
from torch import Tensor

SUM, NEARER, LARGER, SOFT = "sum", "nearer", "larger", "soft"
OVERLAPS = [SUM, NEARER, LARGER, SOFT]
# The standard deviation of the Gaussian that a share follows, relative to a patch's side.
SHARE_WIDTH = 1 / 8

PlacedPatch = tuple[Tensor, tuple[int, int, int]]  # (3, S, S); left, top and side in the image


def divide_patches(placed: Sequence[PlacedPatch], overlap: str) -> list[PlacedPatch]:
    """Multiply each patch by its share of every pixel, so that no pixel has more than one patch.

    `sum` returns the patches as they are, as the reference has them. `nearer`: a pixel belongs to
    the person whose point is nearest, in sides of their patch. `larger`: it belongs to the largest
    patch, among equals to the nearer. `soft`: people share it, the nearer the more; the shares sum
    to 1. Among equals the first person has the pixel. Pixels of one patch alone keep their bits.
    """
    if overlap == SUM:
        return list(placed)
    return [
        (patch * _find_share(index, [box for _, box in placed], overlap), box)
        for index, (patch, box) in enumerate(placed)
    ]


def _find_share(index: int, boxes: Sequence[tuple[int, int, int]], overlap: str) -> Tensor:
    """Return a person's share (S, S) of each pixel of their own patch, in [0, 1]."""
    left, top, side = boxes[index]
    own = _measure_distances(boxes[index], boxes[index])
    share = torch.ones(side, side)
    total = torch.ones(side, side)  # in units of the person's own weight
    for other, box in enumerate(boxes):
        x, y, size = box
        meets = abs(2 * (x - left) + size - side) < size + side
        if other == index or not (meets and abs(2 * (y - top) + size - side) < size + side):
            continue
        distance = _measure_distances(box, boxes[index])
        inside = torch.zeros(side, side, dtype=torch.bool)
        inside[max(y - top, 0) : y - top + size, max(x - left, 0) : x - left + size] = True
        if overlap == SOFT:
            total += inside * torch.exp((own - distance) / (2 * SHARE_WIDTH**2))
            continue
        wins = distance <= own if other < index else distance < own
        if overlap == LARGER and size != side:
            wins = torch.full_like(inside, size > side)
        share[inside & wins] = 0
    return share / total


def _measure_distances(box: tuple[int, int, int], pixels: tuple[int, int, int]) -> Tensor:
    """Return the squared distance of each pixel of `pixels` from a box's middle, in its sides."""
    (left, top, side), (x, y, size) = box, pixels
    middle = (side - 1) / 2
    dx = (torch.arange(size) + (x - left - middle)) / side
    dy = (torch.arange(size) + (y - top - middle)) / side
    return dy[:, None] ** 2 + dx**2
