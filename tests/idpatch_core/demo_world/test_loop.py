"""The small networks' loop: goes on where it was killed."""

from pathlib import Path

import pytest
import torch
from torch import nn

from idpatch_core.demo_world.loop import Losses, fit


class Killed(Exception):
    pass


def run(file: Path, steps: int, killed_at: int = -1) -> nn.Module:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)

    def loss(step: int) -> Losses:
        if step == killed_at:
            raise Killed
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return {"square": (network(x) - x.sum(1, keepdim=True)).square().mean()}

    fit(network, loss, file, steps, rate=0.01, averaged=0.9)
    return network


def test_killed_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.safetensors", 600)
    with pytest.raises(Killed):
        run(tmp_path / "killed.safetensors", 600, killed_at=550)
    resumed = run(tmp_path / "killed.safetensors", 600)
    assert torch.equal(whole.weight, resumed.weight)  # pyright: ignore[reportArgumentType]
    assert not list(tmp_path.glob("*.part"))


def test_it_learns(tmp_path: Path) -> None:
    weight = run(tmp_path / "a.safetensors", 600).weight
    assert (weight - 1).abs().max() < 0.1  # pyright: ignore[reportOperatorIssue, reportAttributeAccessIssue]


def test_what_is_there_is_not_trained_again(tmp_path: Path) -> None:
    run(tmp_path / "a.safetensors", 2)
    run(tmp_path / "a.safetensors", 600, killed_at=0)  # would raise
