"""A person: a name, a face feature and the crop it was taken from."""

from typing import NamedTuple

from torch import Tensor


class Identity(NamedTuple):
    """One person.

    `embedding` is the face feature, (512,) float32 of unit length; `crop` the aligned face,
    (112, 112, 3) uint8 RGB, or None for an identity loaded from a file without pictures.
    """

    name: str
    embedding: Tensor
    crop: Tensor | None = None
