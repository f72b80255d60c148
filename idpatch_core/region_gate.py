"""The region gate: ID tokens and captions are seen from their person's region only.

In a cross-attention layer of the UNet, softmax(q kᵀ / √d + b) has a bias b for each query, a cell
of the image, and each key, a token. It is 0 for text and for a person's ID tokens inside their
region (`idpatch_core.regions`), and negative outside. A person's caption is appended to the keys
and takes the place of the text inside the region.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Figure
from .phrases import Caption
from .regions import SOFTNESS, attention_bias, caption_bias, distances

TOKENS = "idpatch_tokens"  # the option of a conditioning entry that holds its `TokenLayout`


class TokenLayout(NamedTuple):
    """Where the ID tokens are in an entry's text: `people` groups of `per_person` from `start`."""

    start: int
    per_person: int
    people: int


class Entry(NamedTuple):
    """What the gate knows of a conditioning entry.

    `length` is its own number of tokens, `area` the part of the image that it is limited to, as
    left, top, width and height in pixels. `captions` tells whether it sees people's captions.
    """

    layout: TokenLayout | None = None
    length: int = 0
    area: tuple[float, float, float, float] | None = None
    captions: bool = False


class RegionGate:
    """The regions of an image's people, and the biases made from them for each layer's size."""

    def __init__(
        self,
        figures: Sequence[Figure | None],
        width: int,
        height: int,
        outside: float,
        softness: float = SOFTNESS,
        captions: Sequence[Caption] = (),
    ):
        self.figures, self.width, self.height = tuple(figures), width, height
        self.outside, self.softness = outside, softness
        self.captions = tuple(captions)
        self._kept: dict[Any, Tensor] = {}

    def forget(self) -> None:
        """Free the biases; they are made again when needed."""
        self._kept.clear()

    def caption_tokens(self, like: Tensor) -> Tensor:
        """Return the tokens of all captions (N, C), with the dtype and device of `like`."""
        key = (like.dtype, like.device)
        if key not in self._kept:
            self._kept[key] = torch.cat([caption.tokens for caption in self.captions]).to(like)
        return self._kept[key]

    def people_with_tokens(self, count: int) -> list[int]:
        """Return the people, as indices, whose tokens an entry with `count` people has.

        These are all, or those who are in the image; otherwise a ValueError is raised.
        """
        placed = [i for i, figure in enumerate(self.figures) if figure is not None]
        for people in (list(range(len(self.figures))), placed):
            if len(people) == count:
                return people
        raise ValueError(
            f"Region Gate: id_hint places {len(self.figures)} people, the conditioning has the ID "
            f"tokens of {count}. Connect the hint of those people."
        )

    def bias(
        self,
        entries: Sequence[Entry],
        keys: int,
        rows: int,
        columns: int,
        like: Tensor,
        captions_at: int | None = None,
    ) -> Tensor | None:
        """Return the bias (N, 1, rows * columns, keys) of N entries, None where it would be 0.

        An entry shorter than `keys` is repeated to it, as ComfyUI does to make entries of different
        lengths one batch. The captions' tokens, if there are any, are `keys` from `captions_at` on;
        the others are counted without them. The dtype and device are those of `like`.
        """
        if captions_at is None and not any(entry.layout for entry in entries):
            return None
        key = (tuple(entries), keys, rows, columns, captions_at, like.dtype, like.device)
        if key not in self._kept:
            own = 0 if captions_at is None else sum(len(c.tokens) for c in self.captions)
            biases = []
            for entry in entries:
                distance = distances(
                    self.figures, rows, columns, self.width, self.height, entry.area
                )
                text, captions = self._text_bias(entry, distance, keys - own), None
                if captions_at is not None:
                    captions = self._add_captions(entry, distance, text)
                    parts = [text[:, :captions_at], captions, text[:, captions_at:]]
                    text = torch.cat(parts, dim=1)
                biases.append(text)
            self._kept[key] = torch.stack(biases)[:, None].to(like)
        return self._kept[key]

    def _text_bias(self, entry: Entry, distance: Tensor, keys: int) -> Tensor:
        """Return the bias (Q, keys) of an entry's text, which is 0, and of its ID tokens."""
        bias = torch.zeros(distance[0].numel(), keys)
        if entry.layout is None:
            return bias
        people = attention_bias(distance, self.outside, self.softness).flatten(1)  # (F, Q)
        shown = self.people_with_tokens(entry.layout.people)
        for copy in range(0, keys, entry.length):
            for person, values in enumerate(people[shown]):
                first = copy + entry.layout.start + person * entry.layout.per_person
                bias[:, first : first + entry.layout.per_person] = values[:, None]
        return bias

    def _add_captions(self, entry: Entry, distance: Tensor, text: Tensor) -> Tensor:
        """Return the bias (Q, N) of the captions, and take the text out of their regions."""
        lengths = [len(caption.tokens) for caption in self.captions]
        if not entry.captions:
            return torch.full((len(text), sum(lengths)), -math.inf)
        described = [caption.person for caption in self.captions]
        bias = caption_bias(distance, described, self.outside, self.softness).flatten(1)
        copies = text.shape[1] // entry.length
        in_entry = torch.arange(text.shape[1]) % entry.length
        in_entry[copies * entry.length :] = -1  # of another pack
        is_text = in_entry >= 0
        if entry.layout is not None:
            start, per_person, people = entry.layout
            is_text &= (in_entry < start) | (in_entry >= start + per_person * people)
        text[:, is_text] = bias[-1:].T
        # The text counts once for each of its copies, so a caption has to count as often.
        each = zip(bias[:-1] + math.log(copies), lengths, strict=True)
        return torch.cat([values[:, None].expand(-1, length) for values, length in each], dim=1)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor) -> Tensor:
    """Return the attention (B, Q, C) of q over k and v (B, K, C) with a bias (B, 1, Q, K).

    PyTorch's own attention is called, since flash attention refuses a bias and other replacements
    ignore it.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))  # (B, H, *, d)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
