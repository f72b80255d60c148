"""Composes the condition image: the base image plus each person's ID patch at their point.

All patches of the release have one size. Models trained with face-sized patches want each patch
as large as the face.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .images import on_black
from .layout import (
    Figure,
    Head,
    Point,
    count_people,
    find_nearest_head,
    has_same_aspect,
    join_names,
)
from .overlap import SUM, divide_patches
from .skeleton import FACE_TO_EYES

LATENT_SCALE = 8  # pixels of the image along one side of a latent pixel


class Hint(NamedTuple):
    """The condition image for the ControlNet, and each person's point in it.

    `image` is the float condition image (1, 3, H, W); it leaves [0, 1] and must not be clamped,
    quantised or resized. `base` (1, 3, H, W) in [0, 1] is the same without patches. `points` holds
    one entry for each person, None for a person without a patch; `names` are theirs, in the same
    order, and `figures` are the heads and bodies, for the Region Gate. `poses` (N, 18, 3) are the
    skeletons of which the base was drawn, None for another base. `phrases` are those that came with
    the people, for Describe People.
    """

    image: Tensor
    base: Tensor
    points: tuple[Point | None, ...]
    names: tuple[str, ...]
    figures: tuple[Figure | None, ...] = ()
    poses: Tensor | None = None
    phrases: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return self.image.shape[3]

    @property
    def height(self) -> int:
        return self.image.shape[2]

    def check_names(self, names: Sequence[str], source: str) -> str:
        """Compare the hint's people with those of the input `source`.

        Returns a warning where the names differ, otherwise an empty string. Raises a ValueError
        unless there are as many.
        """
        if len(names) != len(self.points):
            raise ValueError(
                f"id_hint: it places {count_people(len(self.points))}, {source} holds "
                f"{join_names(names)}. Connect the Patch Placer of the same people."
            )
        if tuple(names) == self.names:
            return ""
        return (
            f"id_hint: it was made for {', '.join(self.names)}, {source} holds {', '.join(names)}."
        )


HEAD_RADIUS = 0.75  # of the face's width: the circle includes hair and ears
MIN_SCALE, MAX_SCALE = 0.5, 4.0  # of a patch, relative to its original size


def check_size(width: int, height: int) -> None:
    """Raise a ValueError unless a latent of exactly this size exists."""
    for name, side in (("width", width), ("height", height)):
        if side % LATENT_SCALE or side < LATENT_SCALE:
            below = max(side // LATENT_SCALE, 1) * LATENT_SCALE
            raise ValueError(
                f"{name}: {side} is not a multiple of {LATENT_SCALE}, which a latent needs. "
                f"The nearest multiples: {below} and {below + LATENT_SCALE}."
            )


def check_aspect(name: str, size: tuple[int, int], width: int, height: int) -> None:
    """Raise a ValueError if resizing an image of `size` to width x height would distort it."""
    if not has_same_aspect(size, (width, height)):
        fitting = max(round(width * size[1] / size[0] / LATENT_SCALE), 1) * LATENT_SCALE
        raise ValueError(
            f"{name}: it is {size[0]}x{size[1]}, which has a different aspect ratio from the "
            f"output of {width}x{height}. Crop it, or set the output's size to its aspect ratio, "
            f"such as {width}x{fitting}."
        )


def read_base(base_image: Tensor, width: int, height: int) -> Tensor:
    """Return an IMAGE (1, H, W, C) as the base image (1, 3, height, width), resized if needed."""
    if base_image.shape[0] != 1:
        raise ValueError(
            f"base_image: expected one image, got a batch of {base_image.shape[0]}. "
            "Choose one with Image From Batch."
        )
    if base_image.shape[-1] not in (1, 3, 4):
        raise ValueError(f"base_image: expected RGB, got {base_image.shape[-1]} channels.")
    check_aspect("base_image", (base_image.shape[2], base_image.shape[1]), width, height)
    base = on_black(base_image).permute(0, 3, 1, 2).to("cpu", torch.float32).expand(1, 3, -1, -1)
    if base.shape[2:] == (height, width):
        return base
    resized = F.interpolate(
        base, (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp(0, 1)


def face_side(eye_distance: float | None, size: int) -> int:
    """Return the side in pixels of a patch that is as large as the face.

    `eye_distance` in pixels, None if it is not known; `size` is the patch's original side.
    """
    if eye_distance is None:
        return size
    return round(min(max(FACE_TO_EYES * eye_distance, MIN_SCALE * size), MAX_SCALE * size))


def find_patch_sides(points: Sequence[Point | None], heads: Sequence[Head], size: int) -> list[int]:
    """Return the side of each person's patch: that of the face at their point, or `size`."""
    nearest = [find_nearest_head(point, heads, size / 2) for point in points]
    return [size if head is None else face_side(head.eye_distance, size) for head in nearest]


def make_figures(
    points: Sequence[Point | None], heads: Sequence[Head], size: int
) -> tuple[Figure | None, ...]:
    """Return the figure of each person, with the head that was found at their point, if any.

    `size` is the patch's original side, which stands for the face's width where it is not known.
    """
    nearest = [find_nearest_head(point, heads, size / 2) for point in points]
    return tuple(
        point
        and Figure(
            point,
            HEAD_RADIUS * face_side(head.eye_distance if head else None, size),
            head.limbs if head else (),
        )
        for point, head in zip(points, nearest, strict=True)
    )


def resize_patch(patch: Tensor, side: int) -> Tensor:
    """Resize a patch (3, P, P) to (3, side, side), bilinear."""
    if patch.shape[-1] == side:
        return patch
    size = (side, side)
    return F.interpolate(
        patch[None], size, mode="bilinear", align_corners=False, antialias=True
    ).squeeze(0)


def compose(
    base: Tensor,
    patches: Sequence[Tensor] | Tensor,
    points: Sequence[Point | None],
    overlap: str = SUM,
) -> Tensor:
    """Add each person's ID patch to the base image, centred on their point.

    `base` (1, 3, H, W) float in [0, 1]; `patches` (F, 3, P, P) or one (3, P, P) each; one
    point in pixels for each person, None for no patch. Overlapping patches add up, or are divided
    as `divide_patches` describes; a patch is cut at the edge, and a person whose point lies outside
    the image gets none. Returns (1, 3, H, W) float32 without clamping.
    Source: `modules/inferencer.py` of the reference, with positions kept in float32.
    """
    if len(points) != len(patches):
        raise ValueError(f"{len(points)} points for {len(patches)} people; give one point each.")
    image = base.to(torch.float32, copy=True)
    height, width = image.shape[2:]
    placed = [
        (patch.to(image), box)
        for patch, point in zip(patches, points, strict=True)
        if point is not None and (box := _find_box(point, patch.shape[-1], width, height))
    ]
    placed = divide_patches(placed, overlap)
    for _, (x, y, side) in placed:
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
        # All patches are summed before they are added to the base, as in the reference: the order
        # decides the last bit. Where boxes overlap, the same sum is written again.
        total = image.new_zeros(3, y1 - y0, x1 - x0)
        for patch, (left, top, size) in placed:
            x2, y2 = max(x0, left), max(y0, top)
            x3, y3 = min(x1, left + size), min(y1, top + size)
            if x2 < x3 and y2 < y3:
                part = patch[:, y2 - top : y3 - top, x2 - left : x3 - left]
                total[:, y2 - y0 : y3 - y0, x2 - x0 : x3 - x0] += part
        image[0, :, y0:y1, x0:x1] = base[0, :, y0:y1, x0:x1].float() + total
    return image


def _find_box(point: Point, side: int, width: int, height: int) -> tuple[int, int, int] | None:
    """Return left, top and side of a patch in whole pixels, None if its point lies outside."""
    # Rounded as the reference does: half to even, in float32.
    left, top = np.rint(np.array(point, np.float32) - np.float32(side // 2)).tolist()
    half = side // 2
    if not (0 <= left + half < width and 0 <= top + half < height):
        return None
    return int(left), int(top), side
