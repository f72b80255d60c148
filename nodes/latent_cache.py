"""The last latent: a run in which only the names of people changed samples nothing again.

ComfyUI runs the sampler again when anything before it changes, a name included. Names do not act on
the latent, so the last one is kept, with what it was made from: values by their content, models and
functions by weak references, so that none of them is kept in memory.
"""

import hashlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_last: dict[str, Any] = {}


def recall_latent(source: Any, names: Sequence[str], sample: Callable[[], Tensor]) -> Tensor:
    """Return the last latent if it came from the same `source` with other names, or sample it.

    `source` is everything that acts on the latent. With the same names as before it is sampled
    again: ComfyUI would not have run the node.
    """
    key = describe_content(source)
    if key == _last.get("key") and tuple(names) != _last["names"]:
        latent = _last["latent"]
    else:
        _last.clear()
        latent = sample()
    _last.update(key=key, names=tuple(names), latent=latent)
    return latent.clone()


def describe_content(value: Any) -> Any:
    """Return something that equals that of another value if both have the same content.

    Objects other than numbers, text, tensors and collections of these equal only themselves.
    """
    if value is None or isinstance(value, str | bytes | int | float | torch.dtype | torch.device):
        return type(value), value
    if isinstance(value, Tensor):
        content = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        return value.shape, value.dtype, hashlib.sha256(content.numpy()).digest()
    if isinstance(value, Mapping):
        return [(describe_content(key), describe_content(value[key])) for key in value]
    if isinstance(value, list | tuple):
        return [type(value), *map(describe_content, value)]
    try:
        return weakref.ref(value)
    except TypeError:
        return object()  # equals nothing
