"""Metrics of a run: what a perfect or a swapped generator would get, and the command."""

import json
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import Tensor
from training_world import settings, tiny_face_model

from idpatch_core.training import evaluation
from idpatch_core.training.config import Config, Sampling, build, check
from idpatch_core.training.data import Prepared
from idpatch_core.training.losses import EPSILON
from idpatch_core.training.trainer import train


@pytest.fixture(scope="module")
def run(world: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    AcceleratorState._reset_state(reset_partial_state=True)
    output = tmp_path_factory.mktemp("run")
    data, how = {"evaluation": world["evaluation"]}, {"steps": 2, "pictures": 4}
    sections = settings(world, output, data=data, sampling=how, run={"steps": 1})
    return train(check(build(Config, sections, "")))


class Pixels:
    """A VAE whose latents are pictures."""

    def decode(self, latents: Tensor) -> Tensor:
        return latents


def draw_references(swapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let alignment return the references' crops, of everybody or of the neighbour."""
    shown: list[Tensor] = []
    crop = Prepared.crop

    def note(self: Prepared, face: int) -> Tensor:
        shown.append(crop(self, face))
        return shown[-1]

    def align(pictures: Tensor, keypoints: list) -> Tensor:
        faces = torch.stack(shown[-len(keypoints) :]).permute(0, 3, 1, 2) / 255
        return faces.view(-1, 2, *faces.shape[1:]).flip(1).flatten(0, 1) if swapped else faces

    monkeypatch.setattr(Prepared, "crop", note)
    monkeypatch.setattr(evaluation, "align_faces", align)
    monkeypatch.setattr(evaluation, "sample", lambda networks, shown, *_: shown.base)


@pytest.mark.parametrize(("swapped", "accuracy"), [(False, 1.0), (True, 0.0)])
def test_accuracy_sees_who_stands_where(
    world: dict[str, str], monkeypatch: pytest.MonkeyPatch, swapped: bool, accuracy: float
) -> None:
    prepared = Prepared(world["evaluation"])
    draw_references(swapped, monkeypatch)
    result = evaluation.evaluate(
        torch.nn.Module(),  # pyright: ignore[reportArgumentType]
        Pixels(),  # pyright: ignore[reportArgumentType]
        tiny_face_model(),
        prepared,
        torch.linspace(0.99, 0.01, 1000),
        EPSILON,
        Sampling(pictures=4),
    )
    assert result.metrics["accuracy_2"] == accuracy
    assert (result.metrics["similarity_2"] > 0.999) == (not swapped)
    assert result.metrics["accuracy_2_low"] <= accuracy <= result.metrics["accuracy_2_high"]


def test_the_command_writes_metrics_and_a_grid(run: Path) -> None:
    metrics = evaluation.main([str(run), "--pictures", "2", "--device", "cpu"])
    assert json.loads((run / "evaluation-0.json").read_text()) == metrics
    assert (run / "evaluation-0.png").is_file()
    assert {"accuracy_2", "similarity_2", "truth_accuracy_2"} <= metrics.keys()
    again = evaluation.main([str(run), "--pictures", "2", "--device", "cpu"])
    assert again == metrics
    bare = evaluation.main([str(run), "--pictures", "2", "--device", "cpu", "--without", "patches"])
    assert bare["similarity_2"] != metrics["similarity_2"]
    assert (run / "evaluation-without-patches-0.json").is_file()


def test_a_grid_goes_row_by_row() -> None:
    pictures = torch.arange(3.0).view(3, 1, 1, 1).expand(-1, 3, 2, 2)
    grid = evaluation.grid(pictures, columns=2)
    assert grid.shape == (3, 4, 4)
    assert grid[0, ::2, ::2].tolist() == [[0, 1], [2, 0]]


def test_weights_are_the_checkpoints_own(run: Path) -> None:
    from idpatch_core.training.export import load_run

    networks, _ = load_run(run)
    saved = load_file(run / "checkpoints/step-00000001/weights.safetensors")
    state = networks.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in saved.items())
