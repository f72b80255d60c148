"""The command that validates a run."""

import json
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from training_world import train_tiny

from idpatch_core.training import validate
from idpatch_core.training.export import load_run


@pytest.fixture(scope="module")
def run(world: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    AcceleratorState._reset_state(reset_partial_state=True)
    output = tmp_path_factory.mktemp("run")
    data, sampling = {"evaluation": world["evaluation"]}, {"steps": 2, "images": 4}
    return train_tiny(world, output, data=data, sampling=sampling, run={"steps": 1})


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


def test_weights_are_the_checkpoints_own(run: Path):
    networks, _ = load_run(run)
    saved = load_file(run / "checkpoints/step-00000001/weights.safetensors")
    state = networks.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in saved.items())
