"""What the Patch Placer reports to the editor of the node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..idpatch_core.identity import Identity
from ..idpatch_core.images import to_uint8
from ..idpatch_core.layout import Point
from ..idpatch_core.skeleton import VISIBLE, find_head
from .images import read_images, save_crop, save_temporary


def report_poses(people: np.ndarray) -> dict[str, Any]:
    """Return the poses for the editor: their joints, and their heads, the most prominent first."""
    heads = {index: head for index, person in enumerate(people) if (head := find_head(person))}
    ranked = sorted(heads, key=lambda index: -heads[index].prominence)
    return {
        "skeletons": [
            [[x, y] if score > VISIBLE else None for x, y, score in person.tolist()]
            for person in people
        ],
        "poses": [heads[index].point for index in ranked],
        "pose_people": ranked,
    }


def save_base(base: Tensor) -> dict[str, str]:
    """Write the base image (1, 3, H, W) for the editor's background."""
    return save_temporary("base", to_uint8(base[0].permute(1, 2, 0)), ".jpg")


def save_reference(reference_image: Tensor) -> dict[str, str]:
    """Write the reference image for the editor's background."""
    return save_temporary("reference", read_images(reference_image[:1])[0], ".jpg")


def report_people(
    people: Sequence[Identity], points: Sequence[Point | None]
) -> list[dict[str, Any]]:
    """Return each person's name, point and face crop, for the editor."""
    return [
        {
            "name": person.name,
            "x": None if point is None else point.x,
            "y": None if point is None else point.y,
            "crop": save_crop(person.crop),
        }
        for person, point in zip(people, points, strict=True)
    ]
