"""Runs: killed and resumed, on two processes, and with what a config can switch on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from carried_training import DEEPSPEED, FSDP
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from training_world import settings

from idpatch_core.training.config import Config, Optimiser, build, check
from idpatch_core.training.trainer import learning_rate, token_gradient, train

ROOT = Path(__file__).parents[3]
LOSSES = {"identity": 0.1, "detection": 0.1, "matching": 0.1, "highest_timestep": 999}
STEPS = 6


def write_config(world: dict[str, str], folder: Path, **sections: dict) -> Path:
    run = {"steps": STEPS, "save_every": 2, "ema": 0.9, "gradient_accumulation": 2}
    sections = {"losses": LOSSES, **sections, "run": {**run, **sections.get("run", {})}}
    path = folder / "config.json"
    path.write_text(json.dumps(settings(world, folder / "run", **sections)))
    return path


def start(path: Path, *launcher: str, **variables: str) -> subprocess.Popen:
    """Start a run in a process of its own, as a user does."""
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


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.01)


def test_killed_and_resumed_is_uninterrupted(
    world: dict[str, str], uninterrupted: Path, tmp_path: Path
) -> None:
    path = write_config(world, tmp_path)
    first = tmp_path / "run/checkpoints/step-00000002"
    process = start(path)
    wait_until(first.is_dir, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL  # it was not through
    finish(start(path))
    for name in ("weights", "ema"):
        expected, resumed = results(uninterrupted, name), results(tmp_path, name)
        assert expected.keys() == resumed.keys()
        assert all(torch.equal(expected[key], resumed[key]) for key in expected)


def scalars(folder: Path, name: str) -> list[float]:
    events = EventAccumulator(str(folder / "run/tensorboard")).Reload()
    return [event.value for event in events.Scalars(f"train/{name}")]


def distance(some: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    return float(torch.cat([(some[n] - others[n]).flatten() for n in some]).norm())


TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
CARRIED = (*TWO, str(ROOT / "tests/support/carried_training.py"))
CARRIERS = {
    "ddp": ((*TWO, "-m", "idpatch_core.training"), {"ACCELERATE_USE_CPU": "true"}),
    "fsdp": (CARRIED, FSDP),
    "deepspeed": (CARRIED, DEEPSPEED),
}


@pytest.mark.parametrize(
    "carrier", ["ddp", "fsdp", pytest.param("deepspeed", marks=pytest.mark.slow)]
)
def test_two_processes_are_one_with_twice_the_batch(
    world: dict[str, str], uninterrupted: Path, tmp_path: Path, carrier: str
) -> None:
    if carrier == "deepspeed":
        pytest.importorskip("deepspeed")
    launcher, variables = CARRIERS[carrier]
    path = write_config(world, tmp_path)
    finish(start(path, *launcher, **variables))
    checkpoints = tmp_path / "run/checkpoints"
    states = sorted(p.name for p in (checkpoints / f"step-{STEPS:08d}").glob("random_states_*"))
    assert states == ["random_states_0.pkl", "random_states_1.pkl"]  # there were two
    alone, together = results(uninterrupted), results(tmp_path)
    if carrier == "ddp":
        for name, weight in alone.items():
            torch.testing.assert_close(together[name], weight, atol=2e-5, rtol=1e-3, msg=name)
    else:  # sums are rounded otherwise, and Adam steps as far where a gradient is but rounding
        before = load_file(Path(world["controlnet"]) / "diffusion_pytorch_model.safetensors")
        moved = {n: alone[f"controlnet.{n}"] - weight for n, weight in before.items()}
        other = {n: together[f"controlnet.{n}"] - weight for n, weight in before.items()}
        assert distance(moved, other) < 5e-3 * distance(moved, {n: 0 * w for n, w in moved.items()})

    curves = [scalars(folder, "gradient_norm") for folder in (uninterrupted, tmp_path)]
    assert len(curves[0]) == STEPS
    assert curves[1] == pytest.approx(curves[0], rel=5e-3)  # Adam alone would not show a factor

    shutil.rmtree(checkpoints / f"step-{STEPS:08d}")  # go on from step 4
    finish(start(path, *launcher, **variables))
    for name, weight in results(tmp_path).items():
        assert torch.equal(weight, together[name]), name


def test_fsdp_samples_in_half_precision_and_exports(world: dict[str, str], tmp_path: Path) -> None:
    sections = {
        "data": {"evaluation": world["evaluation"]},
        "sampling": {"every": 1, "pictures": 2, "steps": 2},
        "run": {"steps": 1, "mixed_precision": "bf16", "gradient_accumulation": 1},
    }
    path = write_config(world, tmp_path, **sections)
    finish(start(path, *CARRIED, **FSDP))
    events = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    assert "evaluation/accuracy_2" in events.Tags()["scalars"]
    learnt = load_file(tmp_path / "run/checkpoints/step-00000001/ema.safetensors")
    export = tmp_path / "run/export/ControlNetModel/diffusion_pytorch_model.safetensors"
    for name, weight in load_file(export).items():
        assert torch.equal(weight, learnt[f"controlnet.{name}"]), name


def test_fsdp_1_is_refused(world: dict[str, str], tmp_path: Path) -> None:
    variables = {**FSDP, "FSDP_VERSION": "1"}
    process = start(write_config(world, tmp_path), *CARRIED, **variables)
    assert "FSDP: expected version 2, got 1" in process.communicate(timeout=300)[1]
    assert process.returncode


def quick(world: dict[str, str], output: Path, **sections: dict) -> Path:
    return train(check(build(Config, settings(world, output, **sections), "")))


def test_samples_and_metrics_reach_tensorboard(world: dict[str, str], tmp_path: Path) -> None:
    data, sampling = {"evaluation": world["evaluation"]}, {"every": 1, "pictures": 2, "steps": 2}
    run = {"steps": 1, "ema": 0.5}
    output = quick(world, tmp_path, data=data, sampling=sampling, run=run)
    events = EventAccumulator(str(output / "tensorboard")).Reload()
    scalars = events.Tags()["scalars"]
    assert {"train/denoising", "train/learning_rate"} <= set(scalars)
    assert {"evaluation/accuracy_2", "evaluation/similarity_2_high"} <= set(scalars)
    assert events.Tags()["images"] == ["samples"]
    assert events.Scalars("train/denoising")[0].step == 1


@pytest.mark.parametrize(
    "sections",
    [
        {"run": {"steps": 1, "mixed_precision": "bf16"}, "losses": LOSSES},
        {"run": {"steps": 1, "gradient_checkpointing": True}},
        {"run": {"steps": 1}, "trained": {"lora_rank": 2}},
        {"run": {"steps": 1}, "projection": {"kind": "mlp"}},
        {"run": {"steps": 2, "token_gradient_every": 2}},
    ],
    ids=["bf16", "checkpointing", "lora", "mlp", "token gradient"],
)
def test_variants_run_and_move_the_weights(
    world: dict[str, str], tmp_path: Path, sections: dict
) -> None:
    output = quick(world, tmp_path, **sections)
    (folder,) = (output / "checkpoints").glob(f"step-*{sections['run']['steps']}")
    weights = load_file(folder / "weights.safetensors")
    assert all(w.isfinite().all() for w in weights.values())
    start = load_file(Path(world["controlnet"]) / "diffusion_pytorch_model.safetensors")
    moved = [not torch.equal(w, start[k[11:]]) for k, w in weights.items() if k.startswith("c")]
    assert sum(moved) > len(moved) / 2


def test_checkpointing_changes_no_weight(world: dict[str, str], tmp_path: Path) -> None:
    outputs = [
        quick(world, tmp_path / str(on), run={"steps": 1, "gradient_checkpointing": on})
        for on in (False, True)
    ]
    plain, checkpointed = (
        load_file(output / "checkpoints/step-00000001/weights.safetensors") for output in outputs
    )
    torch.testing.assert_close(plain, checkpointed, atol=1e-5, rtol=0)


def test_another_run_may_not_go_on_in_the_folder(world: dict[str, str], tmp_path: Path) -> None:
    quick(world, tmp_path, run={"steps": 1})
    with pytest.raises(ValueError, match=r"run\.seed is 5, but the run in .* begun with 0"):
        quick(world, tmp_path, run={"steps": 2, "seed": 5})
    quick(world, tmp_path, run={"steps": 2})  # more steps are no other run
    assert (tmp_path / "checkpoints/step-00000002").is_dir()


def test_a_run_from_before_a_setting_was_there_goes_on_with_its_default(
    world: dict[str, str], tmp_path: Path
) -> None:
    quick(world, tmp_path, run={"steps": 1})
    config = json.loads((tmp_path / "config.json").read_text())
    del config["run"]["token_gradient_every"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"token_gradient_every is 2, but .* begun with 1"):
        quick(world, tmp_path, run={"steps": 2, "token_gradient_every": 2})
    quick(world, tmp_path, run={"steps": 2})
    assert (tmp_path / "checkpoints/step-00000002").is_dir()


def test_old_checkpoints_and_torn_ones_are_removed(world: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "checkpoints/part-00000009").mkdir(parents=True)
    quick(world, tmp_path, run={"steps": 3, "save_every": 1, "keep": 2})
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["step-00000002", "step-00000003"]


def test_eight_bit_without_bitsandbytes_is_refused(
    world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)  # as if it were not installed
    with pytest.raises(ValueError, match=r"eight_bit needs bitsandbytes"):
        quick(world, tmp_path, optimiser={"eight_bit": True})


def test_tokens_learn_through_the_first_half_as_often_as_wanted() -> None:
    assert [token_gradient(batch, 1) for batch in range(3)] == [1, 1, 1]
    assert [token_gradient(batch, 3) for batch in range(5)] == [3, 0, 0, 3, 0]
    assert [token_gradient(batch, 0) for batch in range(3)] == [0, 0, 0]


def test_learning_rate_rises_and_falls() -> None:
    constant = Optimiser(warmup=4)
    assert [learning_rate(step, 100, constant) for step in (0, 1, 3, 50)] == [0.25, 0.5, 1, 1]
    cosine = Optimiser(warmup=0, schedule="cosine")
    assert learning_rate(0, 100, cosine) == 1
    assert learning_rate(50, 100, cosine) == pytest.approx(0.5)
    assert learning_rate(100, 100, cosine) == pytest.approx(0)
