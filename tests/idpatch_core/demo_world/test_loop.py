"""The small networks' loop: an interrupted run resumes."""

from pathlib import Path

import pytest
import torch
from torch import nn

from idpatch_core.demo_world import loop
from idpatch_core.demo_world.loop import LossTerms, fit


class Interrupted(Exception):
    pass


def run(file: Path, steps: int, interrupted_at: int = -1) -> nn.Module:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)

    def compute_loss(step: int) -> LossTerms:
        if step == interrupted_at:
            raise Interrupted
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return {"square": (network(x) - x.sum(1, keepdim=True)).square().mean()}

    fit(network, compute_loss, file, steps, rate=0.01, decay=0.9)
    return network


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path):
    whole = run(tmp_path / "whole.safetensors", 600)
    with pytest.raises(Interrupted):
        run(tmp_path / "interrupted.safetensors", 600, interrupted_at=550)
    resumed = run(tmp_path / "interrupted.safetensors", 600)
    assert torch.equal(whole.weight, resumed.weight)  # pyright: ignore[reportArgumentType]
    assert not list(tmp_path.glob("*.part"))


def test_a_slow_run_is_saved_between_the_steps_too(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_AFTER", -1.0)
    with pytest.raises(Interrupted):
        run(tmp_path / "a.safetensors", 600, interrupted_at=7)
    assert torch.load(tmp_path / "a.part", weights_only=True)["step"] == 7


def test_it_learns(tmp_path: Path):
    weight = run(tmp_path / "a.safetensors", 600).weight
    assert (weight - 1).abs().max() < 0.1  # pyright: ignore[reportOperatorIssue, reportAttributeAccessIssue]


def test_an_existing_file_is_not_trained_again(tmp_path: Path):
    run(tmp_path / "a.safetensors", 2)
    run(tmp_path / "a.safetensors", 600, interrupted_at=0)  # would raise
