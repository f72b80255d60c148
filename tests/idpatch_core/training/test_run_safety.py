"""A run checks at its start what it needs later, and nothing beside training ends it."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from training_world import make_prepared, settings, train_tiny

from idpatch_core.training import run_start, run_validation, trainer, validation
from idpatch_core.training.__main__ import main
from idpatch_core.training.checkpoint_folder import list_checkpoints
from idpatch_core.training.checkpoint_hooks import check_weights_finite
from idpatch_core.training.objective import Objective
from idpatch_core.training.stop_signal import EXIT_CODE

SAMPLING = {"every": 1, "images": 2, "steps": 1, "max_share": 1.0}


def steps_in(output: Path) -> list[int]:
    return [int(path.name[5:]) for path in list_checkpoints(output)]


def weights(output: Path, step: int) -> dict[str, Tensor]:
    """Return a checkpoint's weights, copied from their file."""
    tensors = load_file(output / f"checkpoints/step-{step:08d}/weights.safetensors")
    return {name: tensor.clone() for name, tensor in tensors.items()}


def train_again(world: dict[str, str], output: Path, **sections: Any) -> Path:
    AcceleratorState._reset_state(reset_partial_state=True)
    return train_tiny(world, output, **sections)


@pytest.mark.parametrize("folder", ["missing", "empty", "unused"])
def test_without_evaluation_images_a_run_goes_to_its_end(
    world: dict[str, str], tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
):
    evaluation = tmp_path / "evaluation"
    if folder != "missing":
        evaluation.mkdir()
    if folder == "unused":
        (evaluation / "index.jsonl").write_text('{"image": "a.jpg", "rejected": "no face"}\n')
    output = train_tiny(
        world,
        tmp_path / "run",
        data={"evaluation": str(evaluation)},
        sampling=SAMPLING,
        run={"steps": 2},
    )
    assert steps_in(output) == [2]
    assert (output / "export/id-patch.safetensors").is_file()
    errors = capsys.readouterr().err
    assert f"data.evaluation: {evaluation}" in errors and "no samples are taken" in errors


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("CUDA out of memory")


def test_a_failing_sample_comes_after_saving_and_does_not_end_the_run(
    world: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    saved = []

    def sample(*_: Any) -> Tensor:
        saved.append(steps_in(tmp_path))
        return fail()

    monkeypatch.setattr(validation, "sample", sample)
    data, run = (
        {"evaluation": world["evaluation"]},
        {"steps": 2, "save_every": 99, "ema_decay": 0.5},
    )
    train_tiny(world, tmp_path, data=data, sampling=SAMPLING, run=run)
    assert saved == [[1], [1, 2]]
    errors = capsys.readouterr().err
    assert "step 1: sampling failed, training continues." in errors
    assert "CUDA out of memory" in errors
    assert (tmp_path / "export/id-patch.safetensors").is_file()


def test_sampling_changes_no_weight(
    world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data, run = {"evaluation": world["evaluation"]}, {"steps": 3, "ema_decay": 0.5}
    plain = train_tiny(world, tmp_path / "plain", run=run)
    sampled = train_again(world, tmp_path / "sampled", data=data, sampling=SAMPLING, run=run)
    monkeypatch.setattr(validation, "sample", fail)
    failed = train_again(world, tmp_path / "failed", data=data, sampling=SAMPLING, run=run)
    for name, weight in weights(plain, 3).items():
        assert torch.equal(weight, weights(sampled, 3)[name]), name
        assert torch.equal(weight, weights(failed, 3)[name]), name


def test_sampling_that_would_take_too_long_is_put_off(
    world: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(run_validation.TimeShare, "allows_rest", lambda *_: False)
    monkeypatch.setattr(validation, "sample", fail)
    data, sampling = {"evaluation": world["evaluation"]}, {**SAMPLING, "max_share": 0.1}
    train_tiny(world, tmp_path, data=data, sampling=sampling, run={"steps": 1})
    errors = capsys.readouterr().err
    assert "sampling was put off" in errors and "failed" not in errors


def test_a_full_disk_of_tensorboard_does_not_end_the_run(
    world: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def add_scalar(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", add_scalar)
    train_tiny(world, tmp_path, run={"steps": 3})
    assert steps_in(tmp_path) == [3]
    assert capsys.readouterr().err.count("TensorBoard cannot be written") == 1


def test_sigterm_saves_the_step_and_ends_with_its_code(
    world: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    call, calls = Objective.__call__, []

    def interrupt(self: Objective, *arguments: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 4:  # in the middle of the second step
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, *arguments)

    run = {"steps": 4, "save_every": 99, "gradient_accumulation": 2, "ema_decay": 0.5}
    undisturbed = train_tiny(world, tmp_path / "undisturbed", run=run)
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(Objective, "__call__", interrupt)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as exit_info:
        train_tiny(world, tmp_path / "run", run=run)
    assert exit_info.value.code == EXIT_CODE == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert steps_in(tmp_path / "run") == [2]
    assert "ends after step 2 of 4" in capsys.readouterr().err
    assert not (tmp_path / "run/export").exists()
    train_again(world, tmp_path / "run", run=run)
    for name, weight in weights(undisturbed, 4).items():
        assert torch.equal(weight, weights(tmp_path / "run", 4)[name]), name


@pytest.mark.parametrize("damaged", ["weights.safetensors", "optimizer.bin", "sizes.json"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(
    world: dict[str, str], tmp_path: Path, damaged: str, capsys: pytest.CaptureFixture[str]
):
    run = {"steps": 3, "save_every": 1}
    expected = weights(train_tiny(world, tmp_path, run=run), 3)
    file = tmp_path / "checkpoints/step-00000003" / damaged
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    shutil.rmtree(tmp_path / "export")
    train_again(world, tmp_path, run={"steps": 3, "save_every": 1})
    assert "step-00000003 is not used" in capsys.readouterr().err
    assert (tmp_path / "checkpoints/damaged-step-00000003").is_dir()
    assert steps_in(tmp_path) == [2, 3]
    assert all(torch.equal(weight, weights(tmp_path, 3)[n]) for n, weight in expected.items())


def test_checkpoints_that_are_all_damaged_are_neither_used_nor_removed(
    world: dict[str, str], tmp_path: Path
):
    train_tiny(world, tmp_path, run={"steps": 1})
    (tmp_path / "checkpoints/step-00000001/weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"all checkpoints in .* are damaged"):
        train_again(world, tmp_path, run={"steps": 2})
    assert (tmp_path / "checkpoints/step-00000001/optimizer.bin").is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"has checkpoints but no config\.json"),
        ('{"models": {"ba', r"config\.json cannot be"),
    ],
)
def test_checkpoints_without_their_config_are_kept(
    world: dict[str, str], tmp_path: Path, content: str | None, message: str
):
    train_tiny(world, tmp_path, run={"steps": 1})
    config = tmp_path / "config.json"
    config.unlink() if content is None else config.write_text(content)
    with pytest.raises(ValueError, match=message):
        train_again(world, tmp_path, run={"steps": 2})
    assert steps_in(tmp_path) == [1]


def test_a_run_may_be_moved(world: dict[str, str], tmp_path: Path):
    expected = weights(train_tiny(world, tmp_path / "whole", run={"steps": 2}), 2)
    train_again(world, tmp_path / "old", run={"steps": 1})
    (tmp_path / "old").rename(tmp_path / "new")
    train_again(world, tmp_path / "new", run={"steps": 2})
    resumed = weights(tmp_path / "new", 2)
    assert all(torch.equal(weight, resumed[name]) for name, weight in expected.items())


def no_step(*_: Any) -> Any:
    raise AssertionError("a step was made")


def test_too_small_a_disk_is_found_before_the_first_step(
    world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2_000_000))
    monkeypatch.setattr(Objective, "__call__", no_step)
    with pytest.raises(ValueError, match=r"run\.output: .* needs about .* GB, for 3 checkpoints"):
        train_tiny(world, tmp_path, run={"steps": 2, "ema_decay": 0.5})


def test_the_estimate_of_the_disk_is_right(
    world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    estimate, estimates = run_start.estimate_checkpoint_bytes, []

    def note(*arguments: Any) -> int:
        estimates.append(estimate(*arguments))
        return estimates[-1]

    monkeypatch.setattr(run_start, "estimate_checkpoint_bytes", note)
    train_tiny(world, tmp_path, run={"steps": 1, "ema_decay": 0.5})
    (checkpoint,) = list_checkpoints(tmp_path)
    written = sum(path.stat().st_size for path in checkpoint.iterdir())
    assert 0.9 < estimates[0] / written < 1.0


def test_a_folder_that_cannot_be_written_is_named(world: dict[str, str], tmp_path: Path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(settings(world, tmp_path / "file/run")))
    with pytest.raises(ValueError, match=r"run\.output: .*file/run cannot be written"):
        train_tiny(world, tmp_path / "file/run")
    AcceleratorState._reset_state(reset_partial_state=True)
    assert main([str(path)]) == 1


def test_a_missing_image_is_found_before_the_first_step(
    world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    prepared = make_prepared(tmp_path / "prepared")
    (prepared / "images/7.safetensors").unlink()
    monkeypatch.setattr(Objective, "__call__", no_step)
    with pytest.raises(ValueError, match=r"1 of 12 prepared images are missing, such as .*7\.safe"):
        train_tiny({**world, "prepared": str(prepared)}, tmp_path / "run")


def test_evaluation_data_of_another_model_are_found_before_the_first_step(
    world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from safetensors.torch import save_file

    evaluation = make_prepared(tmp_path / "evaluation", images=2)
    caption = {"text": torch.zeros(5, 8), "pooled": torch.zeros(24)}
    save_file(caption, evaluation / "empty_caption.safetensors")
    monkeypatch.setattr(Objective, "__call__", no_step)
    data = {"evaluation": str(evaluation)}
    with pytest.raises(ValueError, match=r"captions of 8 and embeddings of 16 .*, expected 32"):
        train_tiny(world, tmp_path / "run", data=data, sampling=SAMPLING)


def test_more_people_than_indices_are_found_before_the_first_step(
    world: dict[str, str], tmp_path: Path
):
    projection = {"location_embedding": True, "max_people": 1}
    with pytest.raises(ValueError, match=r"has 2 people, but the location embedding has 1"):
        train_tiny(world, tmp_path / "run", projection=projection)


def test_weights_that_are_not_finite_are_not_saved():
    check_weights_finite({"a": torch.ones(2)})
    with pytest.raises(ValueError, match="the weight b is no longer finite"):
        check_weights_finite({"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])})


def test_all_processes_resume_from_the_main_process_choice(
    world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class OtherProcess:
        is_main_process, process_index = False, 3

    (tmp_path / "checkpoints/step-00000004").mkdir(parents=True)
    monkeypatch.setattr(run_start, "VISIBLE_SECONDS", 0)
    for name, found in (("step-00000004", True), ("step-00000005", False)):
        monkeypatch.setattr(run_start, "broadcast_object_list", lambda _, name=name: [name])
        if found:
            checkpoint = run_start.open_run(OtherProcess, tmp_path, None)  # no config is written
            assert checkpoint == tmp_path / "checkpoints/step-00000004"
        else:
            with pytest.raises(ValueError, match=r"process 3 does not see .*step-00000005"):
                run_start.open_run(OtherProcess, tmp_path, None)


def test_processes_wait_as_long_for_one_another_as_set(world: dict[str, str], tmp_path: Path):
    from training_world import tiny_config

    config = tiny_config(world, tmp_path, run={"timeout_minutes": 90})
    accelerator = trainer.make_accelerator(config)
    assert accelerator.init_handler is not None
    assert accelerator.init_handler.timeout.total_seconds() == 90 * 60
