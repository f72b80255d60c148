"""Each loss falls when it alone is minimised on one batch."""

from typing import Any

import pytest
import torch
from training_world import EMBEDDING_DIM, tiny_config

from idpatch_core.injection import first_injection_step
from idpatch_core.training import face_windows
from idpatch_core.training.base_model import load_alphas
from idpatch_core.training.config import Config
from idpatch_core.training.data import Batch
from idpatch_core.training.evaluation_images import evaluation_batches
from idpatch_core.training.frozen_networks import load_frozen_networks
from idpatch_core.training.networks import load_networks
from idpatch_core.training.objective import Objective, make_condition
from idpatch_core.training.prepared_data import PreparedData
from idpatch_core.training.sampling import reference_schedule
from idpatch_core.training.trainable import select_trainable
from idpatch_core.training.validation import DROP_NOTHING


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


def test_a_window_of_the_whole_image_changes_nothing(world: dict[str, str]):
    results = []
    for window in (0, 99):
        objective, config = load_objective(world, identity=1.0, detection=1.0, decode_window=window)
        networks = load_networks(config, EMBEDDING_DIM)
        with torch.no_grad():
            results.append(objective(networks, load_batch(world, 20, 150))[1])
    torch.testing.assert_close(results[0], results[1])


def test_faces_that_are_decoded_stand_for_those_that_are_not(
    world: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    losses = {"identity": 1.0, "detection": 1.0, "matching": 1.0, "decode_window": 4}
    objective, config = load_objective(world, **losses, decode_memory=1.0)
    networks, batch = load_networks(config, EMBEDDING_DIM), load_batch(world, 20, 150)
    values = []
    for chosen in ([0, 1, 2, 3], [0, 2], [1, 3], []):
        units = torch.tensor(chosen, dtype=torch.long)
        monkeypatch.setattr(face_windows, "choose_units", lambda *_, units=units: units)
        with torch.no_grad():
            values.append(objective(networks, batch)[1])
    whole, first, second, none = values
    assert [value["decoded_share"].item() for value in values] == [1, 0.5, 0.5, 0]
    for name in ("identity", "detection", "matching"):
        assert first[name] != second[name] and none[name] == 0
        torch.testing.assert_close((first[name] + second[name]) / 2, whole[name])
        assert whole["denoising"] == first["denoising"]


def test_timesteps_above_the_injection_have_no_tokens(world: dict[str, str]):
    batch = load_batch(world, 799, 801)
    inject = make_condition(batch, injection_ratio=0.8).inject
    assert inject is not None and inject.tolist() == [1, 0]
    assert make_condition(batch).inject is None
    for steps in (10, 20, 50, 1000):  # as at inference
        timesteps = reference_schedule(torch.linspace(0.99, 0.01, 1000), steps).timesteps
        shown = make_condition(batch._replace(timesteps=timesteps), 0.8).inject
        assert shown is not None
        assert int((shown == 0).sum()) == first_injection_step(steps, 0.8)
