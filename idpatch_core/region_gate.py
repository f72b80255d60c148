"""The region gate: each person's ID tokens are seen from that person's region only.

In a cross-attention layer of the UNet, softmax(q kᵀ / √d + b) has a bias b for each query, a cell
of the image, and each key, a token. It is 0 for text and for a person's ID tokens inside their
region (`idpatch_core.regions`), and negative outside.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Figure
from .regions import SOFTNESS, attention_bias, distances

TOKENS = "idpatch_tokens"  # the option of a conditioning entry that holds its `TokenLayout`


class TokenLayout(NamedTuple):
    """Where the ID tokens are in an entry's text: `people` groups of `per_person` from `start`."""

    start: int
    per_person: int
    people: int


class RegionGate:
    """The regions of an image's people, and the biases made from them for each layer's size."""

    def __init__(
        self,
        figures: Sequence[Figure | None],
        width: int,
        height: int,
        outside: float,
        softness: float = SOFTNESS,
    ):
        self.figures, self.width, self.height = tuple(figures), width, height
        self.outside, self.softness = outside, softness
        self._biases: dict[Any, Tensor] = {}

    def forget(self) -> None:
        """Free the biases; they are made again when needed."""
        self._biases.clear()

    def bias(
        self,
        layouts: Sequence[TokenLayout | None],
        lengths: Sequence[int],
        keys: int,
        rows: int,
        columns: int,
        like: Tensor,
    ) -> Tensor | None:
        """Return the bias (N, 1, rows * columns, keys) of N entries, None where it would be 0.

        `layouts` and `lengths` give each entry's ID tokens and its own number of tokens; an entry
        shorter than `keys` is repeated to it, as ComfyUI does to make entries of different lengths
        one batch. The dtype and device are those of `like`.
        """
        if not any(layouts):
            return None
        key = (tuple(layouts), tuple(lengths), keys, rows, columns, like.dtype, like.device)
        if key not in self._biases:
            distance = distances(self.figures, rows, columns, self.width, self.height)
            people = attention_bias(distance, self.outside, self.softness).flatten(1)  # (F, Q)
            bias = torch.zeros(len(layouts), 1, rows * columns, keys)
            for entry, layout, length in zip(bias, layouts, lengths, strict=True):
                if layout is None:
                    continue
                for copy in range(0, keys, length):
                    for person, values in enumerate(people):
                        first = copy + layout.start + person * layout.per_person
                        entry[0, :, first : first + layout.per_person] = values[:, None]
            self._biases[key] = bias.to(like)
        return self._biases[key]


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor) -> Tensor:
    """Return the attention (B, Q, C) of q over k and v (B, K, C) with a bias (B, 1, Q, K).

    PyTorch's own attention is called, since flash attention refuses a bias and other replacements
    ignore it.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))  # (B, H, *, d)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)


def find_layouts(
    entries: Mapping[Any, tuple[TokenLayout | None, int]], uuids: Sequence[Any]
) -> tuple[list[TokenLayout | None], list[int]]:
    """Return the layouts and lengths of a batch's entries by their ids, in order."""
    found = [entries.get(uuid, (None, 0)) for uuid in uuids]
    return [layout for layout, _ in found], [length for _, length in found]
