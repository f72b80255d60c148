"""Embeddings that were computed before: a changed name, or person of a chain, encodes no one again.

ComfyUI runs a Face Encoder again when anything before it changes. Equal pixels through the same
network give the same embedding, so those of the last faces are kept as long as the network is.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_patcher
import numpy as np
from torch import Tensor, nn

MOST_FACES = 256  # faces for each network, of 2 kB each

_embeddings: WeakKeyDictionary[nn.Module, OrderedDict[Any, Tensor]] = WeakKeyDictionary()


def recall_embedding(
    patcher: comfy.model_patcher.ModelPatcher, crop: np.ndarray, encode: Callable[[], Tensor]
) -> Tensor:
    """Return the embedding (1, 512) of an aligned face, from `encode` unless it is known.

    The network of `patcher` encodes `crop`, (112, 112, 3) uint8 RGB.
    """
    known = _embeddings.setdefault(patcher.model, OrderedDict())
    content = hashlib.sha256(crop.tobytes()).hexdigest()
    key = (content, crop.shape, crop.dtype.str, patcher.patches_uuid, *_weights_of(patcher.model))
    if key in known:
        known.move_to_end(key)
    else:
        known[key] = encode()
        if len(known) > MOST_FACES:
            known.popitem(last=False)
    return known[key].clone()


def _weights_of(network: nn.Module) -> list[Any]:
    """Return what changes when weights are changed in place, or converted."""
    return [
        (weight.dtype, None if weight.is_inference() else weight._version)
        for weight in network.parameters()
    ]
