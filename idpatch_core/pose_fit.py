"""Finds which image the points of a pose belong to, and brings them to the output's pixels.

Some pose nodes pad an image to multiples of 64 and give the points of the one with the canvas of
the other. Where the pose's drawing is the base image, its joints tell.
"""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from .canvas import check_aspect
from .layout import has_same_aspect
from .pose_reader import Frame
from .skeleton import LIMBS, VISIBLE

PADDED_TO = 64  # pixels
DARK, LIT = 0.04, 0.08  # brightness of a drawing's background, and of a joint at least
DRAWING_DARK = 0.6  # a drawing of poses has at least this share of dark pixels
FITS, DOES_NOT_FIT = 0.9, 0.5  # of the joints lie on the drawing
FEWEST_JOINTS = 4  # to compare
NEAR = 2  # pixels about a joint, in which it must be lit

Extent = tuple[float, float]


class Base(NamedTuple):
    """The base image (1, 3, H, W) in the output's size, and its own (width, height)."""

    image: Tensor
    size: tuple[int, int]


def fit_pose(
    frame: Frame, width: int, height: int, base: Base | None
) -> tuple[np.ndarray, list[str]]:
    """Return a frame's people (N, 18, 3) in pixels of an output of this size, and warnings.

    Raises a ValueError if neither the canvas nor a padded one has the output's aspect ratio.
    """
    canvas = frame.width, frame.height
    others = _other_extents(canvas, base.size if base else (width, height))
    lit = _light(base.image) if base else None
    if not has_same_aspect(canvas, (width, height)):
        others = [extent for extent in others if has_same_aspect(extent, (width, height))]
        if not others:
            check_aspect("pose_keypoint", canvas, width, height)
        return _scale(frame, others[0], width, height), [_describe(canvas, others[0])]
    people = _scale(frame, canvas, width, height)
    if lit is None or (share := _share_drawn(people, lit)) is None or share >= FITS:
        return people, []
    for extent in others:
        fitted = _scale(frame, extent, width, height)
        if (_share_drawn(fitted, lit) or 0) >= FITS:
            return fitted, [_describe(canvas, extent)]
    if share > DOES_NOT_FIT:
        return people, []
    return people, [
        f"pose_keypoint: only {share:.0%} of its joints lie on the poses of base_image, so patches "
        "and bodies will not meet. Connect the drawing of this pose, or none to have it drawn."
    ]


def warn_of_photo(base: Base) -> list[str]:
    """Return a warning if the base image is not a drawing: mostly black, with lines."""
    if _light(base.image) is not None:
        return []
    return [
        "base_image: it is not black with the lines of poses, as ID-Patch was trained with, but "
        "looks like a photo. It does not become the background. Connect it to reference_image to "
        "place people after it, and a pose node for their poses."
    ]


def _other_extents(canvas: tuple[int, int], image: tuple[int, int]) -> list[Extent]:
    """Return the sizes that points may belong to in place of the canvas."""
    padded = _pad(canvas)
    extents: list[Extent] = []
    if image != canvas and _pad(image) == canvas:  # pixels of the image, but the padded canvas
        extents.append((float(image[0]), float(image[1])))
    if padded != canvas:  # shares of the padded image, but the canvas without padding
        extents.append((canvas[0] ** 2 / padded[0], canvas[1] ** 2 / padded[1]))
    return extents


def _pad(size: tuple[int, int]) -> tuple[int, int]:
    width, height = (-(-side // PADDED_TO) * PADDED_TO for side in size)
    return width, height


def _describe(canvas: tuple[int, int], extent: Extent) -> str:
    return (
        f"pose_keypoint: its canvas is {canvas[0]}x{canvas[1]}, but its points belong to an image "
        f"that was padded to multiples of {PADDED_TO}; they were scaled as for "
        f"{extent[0]:.0f}x{extent[1]:.0f}."
    )


def _scale(frame: Frame, extent: Extent, width: int, height: int) -> np.ndarray:
    return frame.people * [width / extent[0], height / extent[1], 1.0]


def _light(image: Tensor) -> np.ndarray | None:
    """Return the lit pixels (H, W) of a drawing of poses, None of another image."""
    brightness = image[0].amax(dim=0).numpy()
    return brightness > LIT if (brightness < DARK).mean() >= DRAWING_DARK else None


def _share_drawn(people: np.ndarray, lit: np.ndarray | None) -> float | None:
    """Return the share of the drawn joints inside the image that lie on lit pixels, if several."""
    if lit is None:
        return None
    height, width = lit.shape
    found = []
    for person in people:
        visible = person[:, 2] > VISIBLE
        ends = {end for limb in LIMBS if visible[list(limb)].all() for end in limb}
        for x, y in person[sorted(ends), :2].astype(int):
            if 0 <= x < width and 0 <= y < height:
                rows = slice(max(y - NEAR, 0), y + NEAR + 1)
                found.append(lit[rows, max(x - NEAR, 0) : x + NEAR + 1].any())
    return float(np.mean(found)) if len(found) >= FEWEST_JOINTS else None
