"""Runs on two processes, and with optional settings."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from carried_training import DEEPSPEED, FSDP
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from training_world import settings, train_tiny

ROOT = Path(__file__).parents[3]
LOSSES = {"identity": 0.1, "detection": 0.1, "matching": 0.1, "decode_max_timestep": 999}
WINDOWS = {"decode_window": 2, "face_sized_windows": True, "decode_memory": 0.001}
STEPS = 6


def write_config(world: dict[str, str], folder: Path, **sections: dict) -> Path:
    run = {"steps": STEPS, "save_every": 2, "ema_decay": 0.9, "gradient_accumulation": 2}
    sampling = {"every": STEPS, "images": 4, "steps": 2, "max_share": 1.0}
    data = {"evaluation": world["evaluation"]}
    sections = {"losses": LOSSES, "data": data, "sampling": sampling, **sections}
    sections["run"] = {**run, **sections.get("run", {})}
    path = folder / "config.json"
    path.write_text(json.dumps(settings(world, folder / "run", **sections)))
    return path


def start(path: Path, *launcher: str, **variables: str) -> subprocess.Popen:
    """Start a run in a new process, as a user does."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, *(launcher or ("-m", "idpatch_core.training")), str(path)]
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def finish(process: subprocess.Popen) -> None:
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors[-3000:]


def results(folder: Path, name: str = "weights") -> dict[str, Tensor]:
    return load_file(folder / f"run/checkpoints/step-{STEPS:08d}/{name}.safetensors")


@pytest.fixture(scope="module")
def uninterrupted(world: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    finish(start(write_config(world, folder)))
    return folder


def scalars(folder: Path, name: str) -> list[float]:
    events = EventAccumulator(str(folder / "run/tensorboard")).Reload()
    return [event.value for event in events.Scalars(name)]


def distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return float(torch.cat([(a[n] - b[n]).flatten() for n in a]).norm())


TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
CPU_LAUNCHER = (*TWO_PROCESSES, str(ROOT / "tests/support/carried_training.py"))
DISTRIBUTIONS = {
    "ddp": ((*TWO_PROCESSES, "-m", "idpatch_core.training"), {"ACCELERATE_USE_CPU": "true"}),
    "fsdp": (CPU_LAUNCHER, FSDP),
    "deepspeed": (CPU_LAUNCHER, DEEPSPEED),
}


@pytest.mark.parametrize(
    "distribution", ["ddp", "fsdp", pytest.param("deepspeed", marks=pytest.mark.slow)]
)
def test_two_processes_equal_one_with_twice_the_batch(
    world: dict[str, str], uninterrupted: Path, tmp_path: Path, distribution: str
):
    if distribution == "deepspeed":
        pytest.importorskip("deepspeed")
    launcher, variables = DISTRIBUTIONS[distribution]
    path = write_config(world, tmp_path)
    finish(start(path, *launcher, **variables))
    checkpoints = tmp_path / "run/checkpoints"
    states = sorted(p.name for p in (checkpoints / f"step-{STEPS:08d}").glob("random_states_*"))
    assert states == ["random_states_0.pkl", "random_states_1.pkl"]  # two processes
    alone, together = results(uninterrupted), results(tmp_path)
    if distribution == "ddp":
        for name, weight in alone.items():
            torch.testing.assert_close(together[name], weight, atol=2e-5, rtol=1e-3, msg=name)
    else:  # sums round differently, and Adam's steps are as long where a gradient is only rounding
        before = load_file(Path(world["controlnet"]) / "diffusion_pytorch_model.safetensors")
        moved = {n: alone[f"controlnet.{n}"] - weight for n, weight in before.items()}
        other = {n: together[f"controlnet.{n}"] - weight for n, weight in before.items()}
        assert distance(moved, other) < 5e-3 * distance(moved, {n: 0 * w for n, w in moved.items()})

    for name in ("similarity_2", "similarity_2_low", "truth_similarity_2"):  # of all their images
        (metric,), (expected,) = (
            scalars(folder, f"evaluation/{name}") for folder in (tmp_path, uninterrupted)
        )
        assert metric == pytest.approx(expected, abs=1e-3), name
    curves = [scalars(folder, "train/gradient_norm") for folder in (uninterrupted, tmp_path)]
    assert len(curves[0]) == STEPS
    assert curves[1] == pytest.approx(curves[0], rel=5e-3)  # Adam alone would not show a factor

    shutil.rmtree(checkpoints / f"step-{STEPS:08d}")  # resume from step 4
    finish(start(path, *launcher, **variables))
    for name, weight in results(tmp_path).items():
        assert torch.equal(weight, together[name]), name


def test_fsdp_samples_in_half_precision_and_exports(world: dict[str, str], tmp_path: Path):
    sections = {
        "data": {"evaluation": world["evaluation"]},
        "sampling": {"every": 1, "images": 2, "steps": 2},
        "losses": {**LOSSES, **WINDOWS},
        "drop": {"injection_ratio": 0.5},
        "run": {"steps": 1, "mixed_precision": "bf16", "gradient_accumulation": 1},
    }
    path = write_config(world, tmp_path, **sections)
    finish(start(path, *CPU_LAUNCHER, **FSDP))
    events = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    assert "evaluation/accuracy_2" in events.Tags()["scalars"]
    averages = load_file(tmp_path / "run/checkpoints/step-00000001/ema.safetensors")
    export = tmp_path / "run/export/ControlNetModel/diffusion_pytorch_model.safetensors"
    for name, weight in load_file(export).items():
        assert torch.equal(weight, averages[f"controlnet.{name}"]), name


def test_fsdp_1_is_refused(world: dict[str, str], tmp_path: Path):
    variables = {**FSDP, "FSDP_VERSION": "1"}
    process = start(write_config(world, tmp_path), *CPU_LAUNCHER, **variables)
    assert "FSDP: expected version 2, got 1" in process.communicate(timeout=300)[1]
    assert process.returncode


@pytest.mark.parametrize(
    "sections",
    [
        {
            "run": {"steps": 1, "mixed_precision": "bf16"},
            "losses": {**LOSSES, **WINDOWS},
            "drop": {"injection_ratio": 0.5},
        },
        {"run": {"steps": 1, "gradient_checkpointing": True}},
        {"run": {"steps": 1}, "trainable": {"lora_rank": 2}},
        {"run": {"steps": 1}, "projection": {"kind": "mlp"}},
        {"run": {"steps": 2, "token_gradient_every": 2}},
    ],
    ids=["bf16", "checkpointing", "lora", "mlp", "token gradient"],
)
def test_variants_run_and_change_the_weights(world: dict[str, str], tmp_path: Path, sections: dict):
    output = train_tiny(world, tmp_path, **sections)
    (folder,) = (output / "checkpoints").glob(f"step-*{sections['run']['steps']}")
    weights = load_file(folder / "weights.safetensors")
    assert all(w.isfinite().all() for w in weights.values())
    start = load_file(Path(world["controlnet"]) / "diffusion_pytorch_model.safetensors")
    moved = [not torch.equal(w, start[k[11:]]) for k, w in weights.items() if k.startswith("c")]
    assert sum(moved) > len(moved) / 2


def test_checkpointing_changes_no_weight(world: dict[str, str], tmp_path: Path):
    outputs = [
        train_tiny(world, tmp_path / str(on), run={"steps": 1, "gradient_checkpointing": on})
        for on in (False, True)
    ]
    plain, checkpointed = (
        load_file(output / "checkpoints/step-00000001/weights.safetensors") for output in outputs
    )
    torch.testing.assert_close(plain, checkpointed, atol=1e-5, rtol=0)
