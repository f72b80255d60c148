"""The optimiser and its learning rate."""

import sys

import pytest
from torch import nn

from idpatch_core.training.config import OptimiserConfig
from idpatch_core.training.optimiser import (
    learning_rate_factor,
    make_optimiser,
    set_learning_rate,
)


def test_eight_bit_without_bitsandbytes_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)  # as if it were not installed
    with pytest.raises(ValueError, match=r"eight_bit needs bitsandbytes"):
        make_optimiser(nn.Linear(1, 1), OptimiserConfig(eight_bit=True))


def test_projections_have_their_own_learning_rate():
    networks = nn.ModuleDict({name: nn.Linear(1, 1) for name in ("patch_proj", "controlnet")})
    config = OptimiserConfig(learning_rate=0.1, projection_learning_rate=0.4)
    optimiser = make_optimiser(networks, config)
    set_learning_rate(optimiser, 0.5)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in networks["patch_proj"].parameters()} == {0.2}
    assert {rates[id(p)] for p in networks["controlnet"].parameters()} == {0.05}


def test_learning_rate_rises_and_falls():
    constant = OptimiserConfig(warmup_steps=4)
    factors = [learning_rate_factor(step, 100, constant) for step in (0, 1, 3, 50)]
    assert factors == [0.25, 0.5, 1, 1]
    cosine = OptimiserConfig(warmup_steps=0, schedule="cosine")
    assert learning_rate_factor(0, 100, cosine) == 1
    assert learning_rate_factor(50, 100, cosine) == pytest.approx(0.5)
    assert learning_rate_factor(100, 100, cosine) == pytest.approx(0)
