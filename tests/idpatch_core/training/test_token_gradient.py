"""The ID tokens' gradient through the UNet's down and mid blocks."""

import pytest
import torch
from training_world import EMBEDDING_DIM, tiny_config

from idpatch_core.training.evaluation_images import evaluation_batches
from idpatch_core.training.networks import load_networks
from idpatch_core.training.objective import make_condition
from idpatch_core.training.prepared_data import PreparedData
from idpatch_core.training.token_gradient import token_gradient_factor
from idpatch_core.training.trainable import select_trainable
from idpatch_core.training.validation import DROP_NOTHING


def test_factor_is_zero_between_every_nth_batch():
    assert [token_gradient_factor(batch, 1) for batch in range(3)] == [1, 1, 1]
    assert [token_gradient_factor(batch, 3) for batch in range(5)] == [3, 0, 0, 3, 0]
    assert [token_gradient_factor(batch, 0) for batch in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_only_the_gradient_of_the_encoder_blocks_is_scaled(
    world: dict[str, str], checkpointing: bool
):
    config = tiny_config(world)
    networks = load_networks(config, EMBEDDING_DIM)
    select_trainable(networks, config.trainable)
    if checkpointing:
        networks.unet.enable_gradient_checkpointing()
    batch = next(evaluation_batches(PreparedData(world["prepared"]), 2, 2, DROP_NOTHING))

    def backward(factor: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        networks.zero_grad()
        condition = make_condition(batch)
        prediction = networks(batch.noise, batch.timesteps, condition, token_gradient=factor)
        prediction.square().mean().backward()
        gradients = {n: p.grad for n, p in networks.named_parameters() if p.grad is not None}
        return prediction.detach(), gradients

    (plain, full), (without, none), (scaled, twice) = (backward(factor) for factor in (1, 0, 2))
    assert torch.equal(plain, without) and torch.equal(plain, scaled)
    assert full.keys() == none.keys() == twice.keys()
    token_weight = "prompt_proj.proj_in.weight"
    assert (full[token_weight] - none[token_weight]).norm() > 1e-3 * full[token_weight].norm()
    for name, gradient in full.items():
        close = {"rtol": 1e-3, "atol": 1e-4 * float(gradient.abs().max()), "msg": name}
        torch.testing.assert_close((none[name] + twice[name]) / 2, gradient, **close)
        if not name.startswith("prompt_proj."):  # the patches act on the up blocks alone
            torch.testing.assert_close(none[name], gradient, **close)
