"""Metrics of a perfect and of a swapped generator, and how samples are made."""

from typing import Any

import pytest
import torch
from torch import Tensor
from training_world import tiny_face_model

from idpatch_core.training import evaluation_images, validation
from idpatch_core.training.config import SamplingConfig
from idpatch_core.training.evaluation_images import evaluation_batches
from idpatch_core.training.losses import EPSILON
from idpatch_core.training.networks import Condition
from idpatch_core.training.prepared_data import PreparedData
from idpatch_core.training.validation import Validation, combine_scores

NETWORKS: Any = torch.nn.Module()


def make_validation(data: PreparedData, **config: Any) -> Validation:
    alphas = torch.linspace(0.99, 0.01, 1000)
    return Validation(None, tiny_face_model(), data, alphas, EPSILON, SamplingConfig(**config))


def skip_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the samples be the base images, and latents images."""
    monkeypatch.setattr(validation, "decode", lambda vae, latents: latents[:, :3])
    monkeypatch.setattr(validation, "sample", lambda networks, condition, *_: condition.base)


def draw_references(swapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let alignment return the references' crops, of each person or of their neighbour."""
    crops: list[Tensor] = []
    read_crop = PreparedData.crop

    def record_crop(self: PreparedData, face: int) -> Tensor:
        crops.append(read_crop(self, face))
        return crops[-1]

    def align(images: Tensor, keypoints: list) -> Tensor:
        faces = torch.stack(crops[-len(keypoints) :]).permute(0, 3, 1, 2) / 255
        return faces.view(-1, 2, *faces.shape[1:]).flip(1).flatten(0, 1) if swapped else faces

    monkeypatch.setattr(PreparedData, "crop", record_crop)
    monkeypatch.setattr(validation, "align_faces", align)
    skip_networks(monkeypatch)


@pytest.mark.parametrize(("swapped", "accuracy"), [(False, 1.0), (True, 0.0)])
def test_accuracy_depends_on_placement(
    world: dict[str, str], monkeypatch: pytest.MonkeyPatch, swapped: bool, accuracy: float
):
    data = PreparedData(world["evaluation"])
    draw_references(swapped, monkeypatch)
    evaluation = make_validation(data, images=4).evaluate(NETWORKS)
    assert evaluation.metrics["accuracy_2"] == accuracy
    assert (evaluation.metrics["similarity_2"] > 0.999) == (not swapped)
    assert evaluation.metrics["accuracy_2_low"] <= accuracy <= evaluation.metrics["accuracy_2_high"]


def test_the_parts_of_several_processes_are_those_of_one(
    world: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    skip_networks(monkeypatch)
    monkeypatch.setattr(evaluation_images, "BATCH_PIXELS", 2 * 64 * 48)
    made = make_validation(PreparedData(world["evaluation"]), images=4)
    parts = [made.score(NETWORKS, process=process, processes=2) for process in (0, 1)]
    assert parts[0] and parts[1] and parts[0].keys().isdisjoint(parts[1])
    merged = combine_scores(parts[0] | parts[1])
    alone = made.evaluate(NETWORKS)
    assert merged.metrics == alone.metrics
    assert torch.equal(merged.images, alone.images)


def test_sampling_stops_when_told_to(world: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    skip_networks(monkeypatch)
    monkeypatch.setattr(evaluation_images, "BATCH_PIXELS", 64 * 48)
    asked = []

    def proceed(done: int, total: int) -> bool:
        asked.append((done, total))
        return done < 2

    made = make_validation(PreparedData(world["evaluation"]), images=4)
    assert made.score(NETWORKS, proceed=proceed) is None
    assert asked == [(0, 4), (1, 4), (2, 4)]


def test_samples_have_the_size_conditioning_of_the_nodes(
    world: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def sample(networks: Any, condition: Condition, *_: Any) -> Tensor:
        seen.append(condition.time_ids)
        return condition.base

    data = PreparedData(world["evaluation"])
    batch = next(evaluation_batches(data, 1, 1, validation.DROP_NOTHING))
    photo = batch._replace(time_ids=torch.tensor([[3000.0, 4000.0, 12.0, 0.0, 48.0, 64.0]]))
    skip_networks(monkeypatch)
    monkeypatch.setattr(validation, "sample", sample)
    monkeypatch.setattr(validation, "collate", lambda examples: photo)
    make_validation(data, images=1).evaluate(NETWORKS)
    assert seen[0].tolist() == [[48, 64, 0, 0, 48, 64]]


def test_large_images_are_decoded_one_by_one(monkeypatch: pytest.MonkeyPatch):
    sizes = []

    def decode(vae: Any, latents: Tensor) -> Tensor:
        sizes.append(len(latents))
        return latents * 2

    monkeypatch.setattr(validation, "decode", decode)
    latents = torch.rand(3, 4, 128, 128)
    assert torch.equal(validation.decode_in_parts(None, latents), (latents * 2).clamp(0, 1))
    validation.decode_in_parts(None, torch.rand(5, 4, 64, 64))
    assert sizes == [1, 1, 1, 4, 1]
