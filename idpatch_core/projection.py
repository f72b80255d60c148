"""Projects a face feature to an ID patch and to ID tokens."""

from typing import NamedTuple

from torch import Tensor


class IDPatches(NamedTuple):
    """What the networks are shown of F people, in their order, in float32 on the CPU.

    `patches` (F, 3, 64, 64); `tokens` (F, T, 2048) with T tokens a person (16 in the release);
    `zero_tokens` (F, T, 2048): the projection of a zero vector, for the negative branch; `names`
    and `crops` are the people's, for previews and messages; a crop is (112, 112, 3) uint8 RGB.
    """

    patches: Tensor
    tokens: Tensor
    zero_tokens: Tensor
    names: tuple[str, ...]
    crops: tuple[Tensor | None, ...]
