"""Each loss falls when it alone is trained on one batch."""

from pathlib import Path

import pytest
import torch
from training_world import EMBEDDING, settings

from idpatch_core.training.config import Config, Drop, build, check
from idpatch_core.training.data import Batch, Prepared, evaluation_batches
from idpatch_core.training.networks import (
    FrozenNetworks,
    load_alphas,
    load_frozen_networks,
    load_networks,
)
from idpatch_core.training.objective import Objective, windows
from idpatch_core.training.trainable import select

NOTHING = Drop(0.0, 0.0, 0.0, 0.0)


def one_batch(world: dict[str, str]) -> Batch:
    batch = next(evaluation_batches(Prepared(world["prepared"]), 2, 2, NOTHING))
    return batch._replace(timesteps=torch.tensor([20, 150]))


@pytest.mark.parametrize("loss", ["denoising", "identity", "detection", "matching"])
def test_loss_falls_when_it_alone_is_trained(world: dict[str, str], loss: str) -> None:
    weights = {"denoising": 0.0, loss: 1.0}
    config = check(build(Config, settings(world, Path("unused"), losses=weights), ""))
    networks = load_networks(config, EMBEDDING)
    select(networks, config.trained)
    objective = Objective(config.losses, *load_alphas(world["base"]), load_frozen_networks(config))
    optimiser = torch.optim.Adam((p for p in networks.parameters() if p.requires_grad), 3e-3)
    batch, values = one_batch(world), []
    for _ in range(9):
        total, parts = objective(networks, batch)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        assert list(parts) == [loss]
        values.append(parts[loss].item())
    assert values[-1] < values[0] - 0.01 * abs(values[0])


def test_noisy_pictures_are_not_decoded(world: dict[str, str]) -> None:
    weights = {"identity": 1.0, "matching": 1.0, "highest_timestep": 100}
    config = check(build(Config, settings(world, Path("unused"), losses=weights), ""))
    networks, judges = load_networks(config, EMBEDDING), load_frozen_networks(config)
    objective = Objective(config.losses, *load_alphas(world["base"]), judges)
    batch = one_batch(world)._replace(timesteps=torch.tensor([101, 900]))
    with torch.no_grad():
        parts = objective(networks, batch)[1]
        clear = objective(networks, batch._replace(timesteps=torch.tensor([100, 900])))[1]
    assert parts["identity"] == parts["matching"] == 0
    assert clear["identity"] > 0 and clear["matching"] > 0


def test_a_window_cuts_the_face_out() -> None:
    latents = torch.arange(10 * 12.0).view(1, 1, 10, 12).repeat(2, 1, 1, 1)
    places = torch.tensor([[48.0, 40.0], [95.0, 2.0]])  # the middle, and a corner
    cut, corner = windows(latents, places[:, None].expand(-1, 5, -1), side=4)
    assert corner.tolist() == [[32, 24], [64, 0]]
    assert cut[0, 0, 0].tolist() == [40, 41, 42, 43]
    assert cut[1, 0, 0].tolist() == [8, 9, 10, 11]


def test_a_window_of_the_whole_picture_changes_nothing(world: dict[str, str]) -> None:
    results = []
    for window in (0, 99):
        weights = {"identity": 1.0, "detection": 1.0, "window": window}
        config = check(build(Config, settings(world, Path("unused"), losses=weights), ""))
        judges = load_frozen_networks(config)
        assert isinstance(judges, FrozenNetworks)
        networks = load_networks(config, EMBEDDING)
        objective = Objective(config.losses, *load_alphas(world["base"]), judges)
        with torch.no_grad():
            results.append(objective(networks, one_batch(world))[1])
    torch.testing.assert_close(results[0], results[1])
