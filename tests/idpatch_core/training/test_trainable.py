"""What learns in each stage, by name: it gets a gradient, and nothing else does."""

from pathlib import Path

import pytest
import torch
from training_world import EMBEDDING, settings

from idpatch_core.training.config import Config, Drop, Trained, build, check
from idpatch_core.training.data import Prepared, evaluation_batches
from idpatch_core.training.networks import (
    Networks,
    load_alphas,
    load_frozen_networks,
    load_networks,
)
from idpatch_core.training.objective import Objective
from idpatch_core.training.trainable import select

LOSSES = {"identity": 1.0, "detection": 1.0, "matching": 1.0, "highest_timestep": 999}
ONE = ("patch_proj.*", "prompt_proj.*", "controlnet.*")
TWO = (*ONE, "unet.*.attn2.to_[kv].weight")
PARTS = ("patch_proj.", "prompt_proj.", "controlnet.")


def gradients(world: dict[str, str], trained: Trained, losses: dict) -> tuple[Networks, set[str]]:
    """Return the networks, and the names of the parameters that got a gradient."""
    config = check(build(Config, settings(world, Path("unused"), losses=losses), ""))
    networks = load_networks(config, EMBEDDING)
    select(networks, trained)
    objective = Objective(config.losses, *load_alphas(world["base"]), load_frozen_networks(config))
    batch = next(evaluation_batches(Prepared(world["prepared"]), 2, 2, Drop(0, 0, 0, 0)))
    objective(networks, batch)[0].backward()
    got = {n for n, p in networks.named_parameters() if p.grad is not None and p.grad.any()}
    return networks, got


@pytest.mark.parametrize("losses", [{}, LOSSES], ids=["denoising", "all losses"])
def test_stage_one_trains_projections_and_control_net(world: dict[str, str], losses: dict) -> None:
    networks, got = gradients(world, Trained(ONE), losses)
    assert got == {n for n, _ in networks.named_parameters() if n.startswith(PARTS)}


def test_stage_two_trains_the_named_parts_of_the_unet(world: dict[str, str]) -> None:
    networks, got = gradients(world, Trained(TWO), LOSSES)
    in_unet = {n for n in got if n.startswith("unet.")}
    assert got - in_unet == {n for n, _ in networks.named_parameters() if n.startswith(PARTS)}
    assert len(in_unet) == 8  # keys and values of four cross-attentions
    assert all(".attn2.to_k." in n or ".attn2.to_v." in n for n in in_unet)


def test_lora_trains_its_own_weights(world: dict[str, str]) -> None:
    networks, got = gradients(world, Trained(("prompt_proj.*",), lora_rank=2), {})
    learning = {n for n, p in networks.named_parameters() if p.requires_grad}
    lora = {n for n in learning if ".lora_" in n}
    assert len(lora) == 2 * 4 * 8  # A and B of four layers of eight attentions
    # B begins as zero, so A has no slope yet.
    assert got == {n for n in learning if ".lora_A." not in n}


def test_only_projections(world: dict[str, str]) -> None:
    networks, got = gradients(world, Trained(ONE[:2]), {})
    assert got == {n for n, _ in networks.named_parameters() if n.startswith(PARTS[:2])}


def test_a_pattern_must_match() -> None:
    network = torch.nn.ModuleDict({"unet": torch.nn.Linear(1, 1)})
    with pytest.raises(ValueError, match=r"'unet\.attn' matches no parameter"):
        select(network, Trained(("unet.weight", "unet.attn")))
