"""The optimiser and its learning rate."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from idpatch_core.training.config import OptimiserConfig
from idpatch_core.training.optimiser import (
    learning_rate_factor,
    make_optimiser,
    set_learning_rate,
)


def test_eight_bit_without_torchao_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torchao.optim", None)  # as if it were not installed
    with pytest.raises(ValueError, match=r"eight_bit needs torchao.*pip install torchao"):
        make_optimiser(nn.Linear(1, 1), OptimiserConfig(eight_bit=True))


def train_steps(network: nn.Module, optimiser: Any, steps: int, rate: float) -> Tensor:
    """Let a layer learn to double its input; return its weight."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(8, 64, generator=generator)
        set_learning_rate(optimiser, rate)
        (network(x) - 2 * x).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    return next(network.parameters()).detach().clone()


def test_eight_bit_moments_train_as_those_of_32_bits_and_resume(tmp_path: Path):
    pytest.importorskip("torchao", reason="torchao, of the extra `train`, is not installed")
    results, optimisers = [], []
    with torch.compiler.set_stance("force_eager"):  # compiling takes longer than the test
        for eight_bit in (False, True):
            torch.manual_seed(0)
            network = nn.Linear(64, 64)
            optimiser = make_optimiser(network, OptimiserConfig(0.01, eight_bit=eight_bit))
            results.append(train_steps(network, optimiser, 4, 0.5))
            optimisers.append(optimiser)
        torch.manual_seed(0)
        start = nn.Linear(64, 64).weight.detach()
        difference = results[1] - results[0]
        assert difference.norm() < 0.05 * (results[0] - start).norm()
        moments = next(iter(optimisers[1].state.values()))["exp_avg"]
        assert moments.codes.dtype == torch.uint8
        assert optimisers[1].param_groups[0]["lr"].item() == pytest.approx(0.005)

        torch.save(optimisers[1].state_dict(), tmp_path / "state")
        torch.manual_seed(0)
        again = nn.Linear(64, 64)
        resumed = make_optimiser(again, OptimiserConfig(0.01, eight_bit=True))
        again.load_state_dict(network.state_dict())
        resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
        expected = train_steps(network, optimisers[1], 2, 1.0)
        assert torch.equal(train_steps(again, resumed, 2, 1.0), expected)


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
