"""Warns of skeletons whose faces are too small for the model, and says what to do."""

from collections.abc import Sequence

import numpy as np

from .head_crops import find_drawn_eyes
from .layout import Point, is_inside
from .skeleton import FACE_TO_EYES

# The width of a face below which it is small, relative to the side of a patch: of SDXL's 64 pixels,
# about five pixels of the latent.
SMALL_FACE = 0.6


def warn_of_small_faces(
    points: Sequence[Point | None],
    poses: np.ndarray,
    names: Sequence[str],
    width: int,
    height: int,
    patch_size: int,
) -> list[str]:
    """Return a warning for the people whose faces are small, or none.

    `poses` (N, 18, 3) are the skeletons of the image; a person without one at their point is left
    out. `patch_size` is the original side of a patch in pixels.
    """
    least = SMALL_FACE * patch_size
    small: dict[str, float] = {}
    for number, (point, name) in enumerate(zip(points, names, strict=True), start=1):
        if point is None or not is_inside(point, width, height):
            continue
        eyes = find_drawn_eyes(point, poses, patch_size / 2)
        if eyes is not None and FACE_TO_EYES * eyes < least:
            small[f"person {number} ({name})"] = FACE_TO_EYES * eyes
    if not small:
        return []
    return [
        f"Faces narrower than {least:.0f} pixels may not resemble their person: "
        f"{', '.join(f'{person}, {face:.0f} pixels' for person, face in small.items())}. Give the "
        "image and the bodies more pixels, or connect Refine Identities after VAE Decode."
    ]
