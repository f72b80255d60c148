"""The networks in training have the same inputs as at inference."""

from typing import Any

import pytest
import torch
from training_world import EMBEDDING_DIM, tiny_config

from idpatch_core.canvas import compose, face_side, resize_patch
from idpatch_core.layout import Point
from idpatch_core.projection import project
from idpatch_core.training.config import DropConfig
from idpatch_core.training.data import Batch
from idpatch_core.training.evaluation_images import evaluation_batches
from idpatch_core.training.networks import Networks, load_networks
from idpatch_core.training.objective import make_condition
from idpatch_core.training.prepared_data import PreparedData
from idpatch_core.training.validation import DROP_NOTHING


def load(world: dict[str, str], **sections: Any) -> Networks:
    return load_networks(tiny_config(world, **sections), EMBEDDING_DIM)


def load_batch(world: dict[str, str], size: int, drop: DropConfig = DROP_NOTHING) -> Batch:
    return next(evaluation_batches(PreparedData(world["prepared"]), size, size, drop))


@pytest.mark.parametrize("kind", ["resampler", "mlp"])
def test_hint_and_tokens_are_those_of_inference(world: dict[str, str], kind: str):
    networks, batch = load(world, projection={"kind": kind}), load_batch(world, 2)
    condition = make_condition(batch)
    hints = networks.hint(condition)
    tokens = networks.tokens(condition.token_embeddings, condition)
    patches, expected, zero = project(
        networks.patch_proj, networks.prompt_proj, batch.reference_embeddings[1]
    )
    points = [Point(*p) for p in batch.points[1].tolist()]
    torch.testing.assert_close(hints[1:], compose(batch.base[1:], patches, points))
    torch.testing.assert_close(tokens[1], expected.flatten(0, 1))
    zero_tokens = networks.tokens(torch.zeros_like(batch.reference_embeddings), condition)
    torch.testing.assert_close(zero_tokens[1], zero.flatten(0, 1))


def test_face_sized_patches_are_those_of_inference_and_trainable(world: dict[str, str]):
    networks = load(world, projection={"kind": "mlp", "face_sized": True})
    batch = load_batch(world, 2)
    eyes = batch.keypoints[:, :, 1] - batch.keypoints[:, :, 0]
    hints = networks.hint(make_condition(batch))
    patches, *_ = project(networks.patch_proj, networks.prompt_proj, batch.reference_embeddings[1])
    sides = [face_side(float(distance.norm()), patches.shape[-1]) for distance in eyes[1]]
    assert any(side != patches.shape[-1] for side in sides)
    resized = [resize_patch(patch, side) for patch, side in zip(patches, sides, strict=True)]
    points = [Point(*p) for p in batch.points[1].tolist()]
    torch.testing.assert_close(hints[1:], compose(batch.base[1:], resized, points))
    hints.square().sum().backward()
    assert all(weight.grad is not None for weight in networks.patch_proj.parameters())


def test_dropped_parts_are_left_out(world: dict[str, str]):
    batch = load_batch(world, 1, DropConfig(1, 1, 1, 1))
    networks, condition = load(world), make_condition(batch)
    assert networks.hint(condition).abs().max() == 0
    assert condition.token_embeddings.abs().max() == 0
    assert batch.reference_embeddings.abs().max() > 0


def test_fsdp_finds_no_tensors_to_cast_in_the_condition(world: dict[str, str]):
    from torch.utils._pytree import tree_leaves  # with which FSDP finds them

    condition = make_condition(load_batch(world, 1))
    assert tree_leaves([condition]) == [condition]


def test_new_parts_depend_on_the_seed_alone(world: dict[str, str]):
    first, again = load(world), load(world)
    other = load(world, run={"seed": 1})
    name = "prompt_proj.proj_in.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
