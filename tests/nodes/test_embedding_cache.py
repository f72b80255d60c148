import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn


def crop(value: int) -> np.ndarray:
    return np.full((112, 112, 3), value, np.uint8)


class Network(nn.Module):
    """Counts its calls; its embedding is the mean of the pixels times its weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.weight * x.float().mean() * torch.ones(1, 512)


@pytest.fixture
def patcher(comfy):
    return comfy.nodes.model_management.manage(Network())


def recall(comfy, patcher, pixels: np.ndarray) -> float:
    def encode():
        return patcher.model(torch.from_numpy(pixels))

    return float(comfy.nodes.embedding_cache.recall_embedding(patcher, pixels, encode)[0, 0])


def test_a_face_is_encoded_once(comfy, patcher):
    values = [recall(comfy, patcher, crop(n)) for n in (1, 2, 1, 2, 1)]
    assert values == [1, 2, 1, 2, 1]
    assert patcher.model.calls == 2


def test_another_network_encodes_the_face_itself(comfy, patcher):
    other = comfy.nodes.model_management.manage(Network())
    recall(comfy, patcher, crop(1))
    recall(comfy, other, crop(1))
    assert (patcher.model.calls, other.model.calls) == (1, 1)


def test_changed_weights_encode_again(comfy, patcher):
    assert recall(comfy, patcher, crop(2)) == 2
    patcher.model.weight.fill_(3)
    assert recall(comfy, patcher, crop(2)) == 6
    patcher.model.half()
    assert recall(comfy, patcher, crop(2)) == 6
    assert patcher.model.calls == 3


def test_a_changed_result_does_not_change_the_cache(comfy, patcher):
    known = comfy.nodes.embedding_cache
    pixels = crop(5)
    first = known.recall_embedding(patcher, pixels, lambda: torch.ones(1, 512))
    first.zero_()
    assert known.recall_embedding(patcher, pixels, lambda: None).sum() == 512


def test_the_cache_is_bounded(comfy, patcher, monkeypatch):
    cache = comfy.nodes.embedding_cache
    monkeypatch.setattr(cache, "MOST_FACES", 2)
    for number in (1, 2, 1, 3, 1, 2):
        recall(comfy, patcher, crop(number))
    assert patcher.model.calls == 4  # 2 was the oldest when 3 came


def test_embeddings_go_with_their_network(comfy):
    cache = comfy.nodes.embedding_cache
    patcher = comfy.nodes.model_management.manage(Network())
    recall(comfy, patcher, crop(1))
    network = weakref.ref(patcher.model)
    assert network() in cache._embeddings
    del patcher
    gc.collect()
    assert network() is None
    assert not any(isinstance(other, Network) for other in cache._embeddings)
