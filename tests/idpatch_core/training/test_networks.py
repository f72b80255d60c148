"""The networks in training see what they see at inference."""

from pathlib import Path

import numpy as np
import pytest
import torch
from training_world import EMBEDDING, settings, tiny_face_model

from idpatch_core.arcface import embed
from idpatch_core.canvas import compose, face_side, resize_patch
from idpatch_core.layout import Point
from idpatch_core.projection import project
from idpatch_core.training.config import Config, Drop, Trained, build, check
from idpatch_core.training.data import Prepared, evaluation_batches
from idpatch_core.training.networks import Networks, face_features, load_networks
from idpatch_core.training.objective import condition
from idpatch_core.training.trainable import select


def load(world: dict[str, str], **sections: dict) -> Networks:
    config = check(build(Config, settings(world, Path("unused"), **sections), ""))
    return load_networks(config, EMBEDDING)


def test_face_recognition_is_that_of_inference() -> None:
    face = tiny_face_model()
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8))
    trained = face_features(face, crops.permute(0, 3, 1, 2) / 255)
    torch.testing.assert_close(trained, embed(face, crops), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["resampler", "mlp"])
def test_hint_and_tokens_are_those_of_inference(world: dict[str, str], kind: str) -> None:
    networks = load(world, projection={"kind": kind})
    batch = next(evaluation_batches(Prepared(world["prepared"]), 2, 2, Drop(0, 0, 0, 0)))
    shown = condition(batch)
    hints, tokens = networks.hint(shown), networks.tokens(shown.token_embeddings, shown)
    patches, expected, zero = project(
        networks.patch_proj, networks.prompt_proj, batch.references[1]
    )
    points = [Point(*p) for p in batch.points[1].tolist()]
    torch.testing.assert_close(hints[1:], compose(batch.base[1:], patches, points))
    torch.testing.assert_close(tokens[1], expected.flatten(0, 1))
    none = networks.tokens(torch.zeros_like(batch.references), shown)
    torch.testing.assert_close(none[1], zero.flatten(0, 1))


def test_face_sized_patches_are_those_of_inference_and_learn(world: dict[str, str]) -> None:
    networks = load(world, projection={"kind": "mlp", "face_sized": True})
    batch = next(evaluation_batches(Prepared(world["prepared"]), 2, 2, Drop(0, 0, 0, 0)))
    eyes = batch.keypoints[:, :, 1] - batch.keypoints[:, :, 0]
    hints = networks.hint(condition(batch))
    patches, *_ = project(networks.patch_proj, networks.prompt_proj, batch.references[1])
    sides = [face_side(float(distance.norm()), patches.shape[-1]) for distance in eyes[1]]
    assert any(side != patches.shape[-1] for side in sides)
    resized = [resize_patch(patch, side) for patch, side in zip(patches, sides, strict=True)]
    points = [Point(*p) for p in batch.points[1].tolist()]
    torch.testing.assert_close(hints[1:], compose(batch.base[1:], resized, points))
    hints.square().sum().backward()
    assert all(weight.grad is not None for weight in networks.patch_proj.parameters())


def test_dropped_parts_are_not_shown(world: dict[str, str]) -> None:
    batch = next(evaluation_batches(Prepared(world["prepared"]), 1, 1, Drop(1, 1, 1, 1)))
    networks, shown = load(world), condition(batch)
    assert networks.hint(shown).abs().max() == 0
    assert shown.token_embeddings.abs().max() == 0
    assert batch.references.abs().max() > 0


def test_fsdp_finds_no_tensors_to_round_in_the_condition(world: dict[str, str]) -> None:
    from torch.utils._pytree import tree_leaves  # what FSDP goes through

    batch = next(evaluation_batches(Prepared(world["prepared"]), 1, 1, Drop(0, 0, 0, 0)))
    shown = condition(batch)
    assert tree_leaves([shown]) == [shown]


def test_new_parts_depend_on_the_seed_alone(world: dict[str, str]) -> None:
    first, again = load(world), load(world)
    other = load(world, run={"seed": 1})
    name = "prompt_proj.proj_in.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("checkpointing", [False, True])
def test_token_gradient_is_scaled_in_the_first_half_alone(
    world: dict[str, str], checkpointing: bool
) -> None:
    networks = load(world)
    select(networks, Trained())
    if checkpointing:
        networks.unet.enable_gradient_checkpointing()
    batch = next(evaluation_batches(Prepared(world["prepared"]), 2, 2, Drop(0, 0, 0, 0)))

    def step(factor: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        networks.zero_grad()
        shown = condition(batch)
        made = networks(batch.noise, batch.timesteps, shown, token_gradient=factor)
        made.square().mean().backward()
        found = {n: p.grad for n, p in networks.named_parameters() if p.grad is not None}
        return made.detach(), found

    (plain, whole), (without, none), (with_it, twice) = (step(factor) for factor in (1, 0, 2))
    assert torch.equal(plain, without) and torch.equal(plain, with_it)
    assert whole.keys() == none.keys() == twice.keys()
    half = "prompt_proj.proj_in.weight"
    assert (whole[half] - none[half]).norm() > 1e-3 * whole[half].norm()
    for name, gradient in whole.items():
        close = {"rtol": 1e-3, "atol": 1e-4 * float(gradient.abs().max()), "msg": name}
        torch.testing.assert_close((none[name] + twice[name]) / 2, gradient, **close)
        if not name.startswith("prompt_proj."):  # the patches act on the second half
            torch.testing.assert_close(none[name], gradient, **close)
