"""A run's folder: which changes a resumed run may have, and which checkpoints are kept."""

import json
from pathlib import Path

import pytest
from training_world import train_tiny


def test_a_different_run_may_not_resume(world: dict[str, str], tmp_path: Path):
    train_tiny(world, tmp_path, run={"steps": 1})
    with pytest.raises(ValueError, match=r"run\.seed is 5, but the run in .* started with 0"):
        train_tiny(world, tmp_path, run={"steps": 2, "seed": 5})
    train_tiny(world, tmp_path, run={"steps": 2})  # more steps may be added
    assert (tmp_path / "checkpoints/step-00000002").is_dir()


def test_a_run_older_than_a_setting_resumes_with_its_default(world: dict[str, str], tmp_path: Path):
    train_tiny(world, tmp_path, run={"steps": 1})
    config = json.loads((tmp_path / "config.json").read_text())
    del config["run"]["token_gradient_every"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"token_gradient_every is 2, but .* started with 1"):
        train_tiny(world, tmp_path, run={"steps": 2, "token_gradient_every": 2})
    train_tiny(world, tmp_path, run={"steps": 2})
    assert (tmp_path / "checkpoints/step-00000002").is_dir()


def test_old_and_partial_checkpoints_are_removed(world: dict[str, str], tmp_path: Path):
    (tmp_path / "checkpoints/part-00000009").mkdir(parents=True)
    train_tiny(world, tmp_path, run={"steps": 3, "save_every": 1, "keep_checkpoints": 2})
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000002", "step-00000003"]
