"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from idpatch_core.training.ema import EMA


def test_average_follows_its_formula():
    weight = {"w": torch.tensor([1.0])}
    ema = EMA(weight, decay=0.5)
    ema.update({"w": torch.tensor([3.0])}, steps=1)  # decay 2 / 11
    assert ema.shadow["w"].item() == pytest.approx(1 * 2 / 11 + 3 * 9 / 11)
    before = ema.shadow["w"].item()
    ema.update({"w": torch.tensor([0.0])}, steps=1000)
    assert ema.shadow["w"].item() == pytest.approx(before / 2)


def test_the_network_gets_its_own_weights_back():
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 1.0)
    ema = EMA({"weight": network.weight}, 0.9)
    nn.init.constant_(network.weight, 5.0)
    with ema.applied(network):
        assert network.weight.item() == 1.0
    assert network.weight.item() == 5.0
