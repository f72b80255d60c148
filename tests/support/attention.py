"""What the cross-attention layers of a model get and give, and what they should give."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Layer(NamedTuple):
    """One call of a layer: q (B, Q, C), k and v (B, K, C), and the result (B, Q, C).

    `rows` and `columns` are those of the cells, `branches` the entries of the batch: 0 is the
    positive, 1 the negative.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    heads: int
    rows: int
    columns: int
    branches: list[int]
    out: Tensor


def watch_layers(model: Any) -> list[Layer]:
    """Return a list to which each call of the model's cross-attention replacements is added."""
    layers: list[Layer] = []

    def watch(inner: Any) -> Any:
        def attention(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
            out = inner(q, k, v, options)
            size = options["activations_shape"][-2:]
            branches = options["cond_or_uncond"]
            layers.append(Layer(q, k, v, options["n_heads"], *size, branches, out))
            return out

        return attention

    replaced = model.model_options["transformer_options"]["patches_replace"]["attn2"]
    for block in list(replaced):
        replaced[block] = watch(replaced[block])
    return layers


def attend_by_formula(layer: Layer, bias: Sequence[Tensor]) -> Tensor:
    """Return softmax(q kᵀ / √d + b) v in float64, with a bias (Q, K) for each entry."""
    q, k, v = (
        x.double().unflatten(-1, (layer.heads, -1)).transpose(1, 2)
        for x in (layer.q, layer.k, layer.v)
    )
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (B, H, Q, K)
    each = torch.stack(list(bias)).repeat_interleave(len(q) // len(bias), dim=0)
    return ((scores + each[:, None]).softmax(dim=-1) @ v).transpose(1, 2).flatten(2)


def nearest_bias(distance: Tensor, outside: float) -> Tensor:
    """Return the bias (F, Q) of owners from their distances (F, Q) in head radii."""
    nearest = distance.double().amin(dim=0)
    return ((nearest - distance.double()) / 0.25).clamp_min(torch.tensor(outside).log().item())
