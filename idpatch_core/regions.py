"""The part of the image that belongs to each person: head and body, soft at the border."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .layout import Figure, Point

# Distances are in head radii. A head outranks every body, so that a face in front of someone's
# body, or above it in a second row, keeps its own region.
BODY_RANK = 0.5
# Of two bodies the one further back, whose head is this many radii or more above the other's,
# yields by this much.
BACK_ROW = 4.0
BACK_ROW_RANK = 0.3
SOFTNESS = 0.25
# Further away than this the text describes the image, nearer the person's own caption. Half of it
# is the width of a body on either side of its limbs.
CAPTION_REACH = 2.0


def distances(
    figures: Sequence[Figure | None],
    rows: int,
    columns: int,
    width: int,
    height: int,
    area: tuple[float, float, float, float] | None = None,
) -> Tensor:
    """Return each person's distance (F, rows, columns) from the cells of a grid over the image.

    The unit is the person's head radius: -1 at the nose, 0 at the edge of the head. None, a person
    who is not in the image, is infinitely far away. `area` is the part of the image that the grid
    covers, as left, top, width and height in pixels.
    """
    left, top, wide, high = area or (0.0, 0.0, float(width), float(height))
    x = left + (torch.arange(columns, dtype=torch.float64) + 0.5) * (wide / columns)
    y = top + (torch.arange(rows, dtype=torch.float64) + 0.5) * (high / rows)
    cells = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (rows, columns, 2)
    heads = [figure.point.y for figure in figures if figure is not None]
    front = max(heads, default=0.0)
    out = torch.full((len(figures), rows, columns), math.inf, dtype=torch.float64)
    for person, figure in enumerate(figures):
        if figure is None:
            continue
        point = torch.tensor(figure.point, dtype=torch.float64)
        head = (cells - point).norm(dim=-1) / figure.radius - 1
        limbs = figure.limbs or (
            (figure.point, Point(figure.point.x, max(height, figure.point.y))),
        )
        behind = min(max((front - figure.point.y) / (BACK_ROW * figure.radius), 0.0), 1.0)
        body = (
            _to_segments(cells, torch.tensor(limbs, dtype=torch.float64)) / figure.radius
            + BODY_RANK
            + BACK_ROW_RANK * behind
        )
        out[person] = torch.minimum(head, body)
    return out.float()


def _to_segments(cells: Tensor, segments: Tensor) -> Tensor:
    """Return the distance of each cell (R, C, 2) from the nearest of segments (S, 2, 2)."""
    nearest = torch.full(cells.shape[:2], math.inf, dtype=torch.float64)
    for start, end in segments:
        along = end - start
        share = ((cells - start) @ along / (along @ along).clamp_min(1e-12)).clamp(0, 1)
        nearest = torch.minimum(nearest, (cells - start - share[..., None] * along).norm(dim=-1))
    return nearest


def attention_bias(distance: Tensor, outside: float, softness: float = SOFTNESS) -> Tensor:
    """Return what to add to the attention scores of each person's tokens, per cell.

    `distance` (F, rows, columns) of `distances`. 0 where the person is the nearest; outside, the
    bias falls by 1 per `softness` head radii down to log(`outside`), so that a token outside its
    region counts `outside` times what it would; 0 hides it altogether. Someone who is not in the
    image has no region.
    """
    floor = math.log(outside) if outside > 0 else -math.inf
    nearest = distance.amin(dim=0, keepdim=True)
    bias = (nearest - distance) / softness
    absent = distance.isinf()
    bias = torch.where(absent, torch.full_like(bias, floor), bias)
    return bias.clamp_min(floor)


def caption_bias(
    distance: Tensor,
    described: Sequence[int],
    outside: float,
    softness: float = SOFTNESS,
    reach: float = CAPTION_REACH,
) -> Tensor:
    """Return what to add to the scores of the captions of people, and last of the common text.

    `distance` (F, rows, columns) of `distances`; `described` are the indices of the people with a
    caption. Each caption takes the place of the common text (D + 1, rows, columns) where its person
    is the nearest and at most `reach` head radii away.
    """
    common = torch.full_like(distance[:1], reach)
    for person in set(range(len(distance))) - set(described):
        common = torch.minimum(common, distance[person])
    return attention_bias(torch.cat([distance[list(described)], common]), outside, softness)
