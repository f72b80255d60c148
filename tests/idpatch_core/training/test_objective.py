"""Each loss falls when it alone is minimised on one batch."""

from typing import Any

import pytest
import torch
from training_world import EMBEDDING_DIM, tiny_config

from idpatch_core.training.base_model import load_alphas
from idpatch_core.training.config import Config
from idpatch_core.training.data import Batch, PreparedData, evaluation_batches
from idpatch_core.training.frozen_networks import load_frozen_networks
from idpatch_core.training.networks import load_networks
from idpatch_core.training.objective import Objective, cut_windows
from idpatch_core.training.trainable import select_trainable
from idpatch_core.training.validate import DROP_NOTHING


def load_batch(world: dict[str, str], *timesteps: int) -> Batch:
    batch = next(evaluation_batches(PreparedData(world["prepared"]), 2, 2, DROP_NOTHING))
    return batch._replace(timesteps=torch.tensor(timesteps))


def load_objective(world: dict[str, str], **losses: Any) -> tuple[Objective, Config]:
    config = tiny_config(world, losses=losses)
    frozen = load_frozen_networks(config)
    return Objective(config.losses, *load_alphas(world["base"]), frozen), config


@pytest.mark.parametrize("loss", ["denoising", "identity", "detection", "matching"])
def test_loss_falls_when_it_alone_is_minimised(world: dict[str, str], loss: str):
    objective, config = load_objective(world, **{"denoising": 0.0, loss: 1.0})
    networks = load_networks(config, EMBEDDING_DIM)
    select_trainable(networks, config.trainable)
    optimiser = torch.optim.Adam((p for p in networks.parameters() if p.requires_grad), 3e-3)
    batch, values = load_batch(world, 20, 150), []
    for _ in range(9):
        total, losses = objective(networks, batch)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        assert list(losses) == [loss]
        values.append(losses[loss].item())
    assert values[-1] < values[0] - 0.01 * abs(values[0])


def test_noisy_images_are_not_decoded(world: dict[str, str]):
    objective, config = load_objective(world, identity=1.0, matching=1.0, decode_max_timestep=100)
    networks = load_networks(config, EMBEDDING_DIM)
    with torch.no_grad():
        noisy = objective(networks, load_batch(world, 101, 900))[1]
        clear = objective(networks, load_batch(world, 100, 900))[1]
    assert noisy["identity"] == noisy["matching"] == 0
    assert clear["identity"] > 0 and clear["matching"] > 0


def test_a_window_contains_the_face():
    latents = torch.arange(10 * 12.0).view(1, 1, 10, 12).repeat(2, 1, 1, 1)
    points = torch.tensor([[48.0, 40.0], [95.0, 2.0]])  # the centre, and a corner
    windows, corners = cut_windows(latents, points[:, None].expand(-1, 5, -1), side=4)
    assert corners.tolist() == [[32, 24], [64, 0]]
    assert windows[0, 0, 0].tolist() == [40, 41, 42, 43]
    assert windows[1, 0, 0].tolist() == [8, 9, 10, 11]


def test_a_window_of_the_whole_image_changes_nothing(world: dict[str, str]):
    results = []
    for window in (0, 99):
        objective, config = load_objective(world, identity=1.0, detection=1.0, decode_window=window)
        networks = load_networks(config, EMBEDDING_DIM)
        with torch.no_grad():
            results.append(objective(networks, load_batch(world, 20, 150))[1])
    torch.testing.assert_close(results[0], results[1])
