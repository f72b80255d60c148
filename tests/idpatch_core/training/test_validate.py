"""Metrics of a run: those of a perfect and of a swapped generator, and the command."""

import json
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import Tensor
from training_world import tiny_face_model, train_tiny

from idpatch_core.training import validate
from idpatch_core.training.config import SamplingConfig
from idpatch_core.training.data import PreparedData
from idpatch_core.training.export import load_run
from idpatch_core.training.losses import EPSILON


@pytest.fixture(scope="module")
def run(world: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    AcceleratorState._reset_state(reset_partial_state=True)
    output = tmp_path_factory.mktemp("run")
    data, sampling = {"evaluation": world["evaluation"]}, {"steps": 2, "images": 4}
    return train_tiny(world, output, data=data, sampling=sampling, run={"steps": 1})


def draw_references(swapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let alignment return the references' crops, of each person or of their neighbour.

    Latents are images here, and the samples are the base images.
    """
    crops: list[Tensor] = []
    read_crop = PreparedData.crop

    def record_crop(self: PreparedData, face: int) -> Tensor:
        crops.append(read_crop(self, face))
        return crops[-1]

    def align(images: Tensor, keypoints: list) -> Tensor:
        faces = torch.stack(crops[-len(keypoints) :]).permute(0, 3, 1, 2) / 255
        return faces.view(-1, 2, *faces.shape[1:]).flip(1).flatten(0, 1) if swapped else faces

    monkeypatch.setattr(PreparedData, "crop", record_crop)
    monkeypatch.setattr(validate, "align_faces", align)
    monkeypatch.setattr(validate, "decode", lambda vae, latents: latents)
    monkeypatch.setattr(validate, "sample", lambda networks, condition, *_: condition.base)


@pytest.mark.parametrize(("swapped", "accuracy"), [(False, 1.0), (True, 0.0)])
def test_accuracy_depends_on_placement(
    world: dict[str, str], monkeypatch: pytest.MonkeyPatch, swapped: bool, accuracy: float
):
    data = PreparedData(world["evaluation"])
    draw_references(swapped, monkeypatch)
    evaluation = validate.evaluate(
        torch.nn.Module(),  # pyright: ignore[reportArgumentType]
        None,
        tiny_face_model(),
        data,
        torch.linspace(0.99, 0.01, 1000),
        EPSILON,
        SamplingConfig(images=4),
    )
    assert evaluation.metrics["accuracy_2"] == accuracy
    assert (evaluation.metrics["similarity_2"] > 0.999) == (not swapped)
    assert evaluation.metrics["accuracy_2_low"] <= accuracy <= evaluation.metrics["accuracy_2_high"]


def test_the_command_writes_metrics_and_a_grid(run: Path):
    metrics = validate.main([str(run), "--images", "2", "--device", "cpu"])
    assert json.loads((run / "evaluation-0.json").read_text()) == metrics
    assert (run / "evaluation-0.png").is_file()
    assert {"accuracy_2", "similarity_2", "truth_accuracy_2"} <= metrics.keys()
    again = validate.main([str(run), "--images", "2", "--device", "cpu"])
    assert again == metrics
    without = validate.main([str(run), "--images", "2", "--device", "cpu", "--without", "patches"])
    assert without["similarity_2"] != metrics["similarity_2"]
    assert (run / "evaluation-without-patches-0.json").is_file()


def test_a_grid_goes_row_by_row():
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(-1, 3, 2, 2)
    grid = validate.make_grid(images, columns=2)
    assert grid.shape == (3, 4, 4)
    assert grid[0, ::2, ::2].tolist() == [[0, 1], [2, 0]]


def test_weights_are_the_checkpoints_own(run: Path):
    networks, _ = load_run(run)
    saved = load_file(run / "checkpoints/step-00000001/weights.safetensors")
    state = networks.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in saved.items())
