"""The trainable parameters of each stage, by name, and only those, get a gradient."""

import pytest
import torch
from training_world import EMBEDDING_DIM, tiny_config

from idpatch_core.training.base_model import load_alphas
from idpatch_core.training.config import TrainableConfig
from idpatch_core.training.evaluation_images import evaluation_batches
from idpatch_core.training.frozen_networks import load_frozen_networks
from idpatch_core.training.networks import Networks, load_networks
from idpatch_core.training.objective import Objective
from idpatch_core.training.prepared_data import PreparedData
from idpatch_core.training.trainable import select_trainable
from idpatch_core.training.validation import DROP_NOTHING

LOSSES = {"identity": 1.0, "detection": 1.0, "matching": 1.0, "decode_max_timestep": 999}
STAGE1 = ("patch_proj.*", "prompt_proj.*", "controlnet.*")
STAGE2 = (*STAGE1, "unet.*.attn2.to_[kv].weight")
PREFIXES = ("patch_proj.", "prompt_proj.", "controlnet.")


def find_gradients(
    world: dict[str, str], trainable: TrainableConfig, losses: dict
) -> tuple[Networks, set[str]]:
    """Return the networks, and the names of the parameters that got a gradient."""
    config = tiny_config(world, losses=losses)
    networks = load_networks(config, EMBEDDING_DIM)
    select_trainable(networks, trainable)
    objective = Objective(config.losses, *load_alphas(world["base"]), load_frozen_networks(config))
    batch = next(evaluation_batches(PreparedData(world["prepared"]), 2, 2, DROP_NOTHING))
    objective(networks, batch)[0].backward()
    names = {n for n, p in networks.named_parameters() if p.grad is not None and p.grad.any()}
    return networks, names


@pytest.mark.parametrize("losses", [{}, LOSSES], ids=["denoising", "all losses"])
def test_stage_one_trains_projections_and_control_net(world: dict[str, str], losses: dict):
    networks, names = find_gradients(world, TrainableConfig(STAGE1), losses)
    assert names == {n for n, _ in networks.named_parameters() if n.startswith(PREFIXES)}


def test_stage_two_trains_the_named_parts_of_the_unet(world: dict[str, str]):
    networks, names = find_gradients(world, TrainableConfig(STAGE2), LOSSES)
    in_unet = {n for n in names if n.startswith("unet.")}
    others = {n for n, _ in networks.named_parameters() if n.startswith(PREFIXES)}
    assert names - in_unet == others
    assert len(in_unet) == 8  # keys and values of four cross-attentions
    assert all(".attn2.to_k." in n or ".attn2.to_v." in n for n in in_unet)


def test_lora_trains_its_own_weights(world: dict[str, str]):
    networks, names = find_gradients(world, TrainableConfig(("prompt_proj.*",), lora_rank=2), {})
    trainable = {n for n, p in networks.named_parameters() if p.requires_grad}
    lora = {n for n in trainable if ".lora_" in n}
    assert len(lora) == 2 * 4 * 8  # A and B of four layers of eight attentions
    # B is initialised with zeros, so the first gradient of A is zero.
    assert names == {n for n in trainable if ".lora_A." not in n}


def test_only_projections(world: dict[str, str]):
    networks, names = find_gradients(world, TrainableConfig(STAGE1[:2]), {})
    assert names == {n for n, _ in networks.named_parameters() if n.startswith(PREFIXES[:2])}


def test_a_pattern_must_match():
    network = torch.nn.ModuleDict({"unet": torch.nn.Linear(1, 1)})
    with pytest.raises(ValueError, match=r"'unet\.attn' matches no parameter"):
        select_trainable(network, TrainableConfig(("unet.weight", "unet.attn")))
