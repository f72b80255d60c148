"""Composes the condition image: the base picture plus everybody's ID patch at their place."""

from typing import NamedTuple

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
