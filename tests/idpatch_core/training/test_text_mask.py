"""Images of one batch with and without ID tokens are as those of batches of one kind."""

from dataclasses import replace

import pytest
import torch
from training_world import EMBEDDING_DIM, tiny_config

from idpatch_core.training.evaluation_images import evaluation_batches
from idpatch_core.training.networks import load_networks
from idpatch_core.training.objective import make_condition
from idpatch_core.training.prepared_data import PreparedData
from idpatch_core.training.validation import DROP_NOTHING


@pytest.mark.parametrize("checkpointing", [False, True])
def test_hidden_tokens_are_as_none(world: dict[str, str], checkpointing: bool):
    networks = load_networks(tiny_config(world), EMBEDDING_DIM).train()
    if checkpointing:
        networks.unet.enable_gradient_checkpointing()
        networks.controlnet.enable_gradient_checkpointing()
    batch = next(evaluation_batches(PreparedData(world["prepared"]), 2, 2, DROP_NOTHING))
    condition, inputs = make_condition(batch), (batch.latents, batch.timesteps)
    hint = networks.hint(condition)
    alone = networks.denoise(*inputs, condition.text, condition, hint)
    joined = networks(*inputs, condition)
    mixed = networks(*inputs, replace(condition, inject=torch.tensor([1.0, 0.0])))
    torch.testing.assert_close(mixed[0], joined[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(mixed[1], alone[1], atol=1e-5, rtol=0)
    assert (joined[1] - alone[1]).abs().max() > 1e-3

    def gradient(of: torch.Tensor) -> torch.Tensor:
        networks.zero_grad()
        of.square().sum().backward()
        weight = networks.controlnet.down_blocks[1].attentions[0].transformer_blocks[0].attn2.to_k
        return weight.weight.grad.clone()

    expected = gradient(networks.denoise(*inputs, condition.text, condition, hint)[1])
    torch.testing.assert_close(gradient(mixed[1]), expected, atol=1e-4, rtol=1e-3)
