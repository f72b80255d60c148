"""Runs that are killed at random moments end with the weights of an undisturbed run.

The number of kills is IDPATCH_KILLS (default: 10).
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from training_world import settings

from idpatch_core.training.stop_signal import EXIT_CODE

SCRIPT = Path(__file__).parents[2] / "support" / "killed_runs.py"
STEPS = 8
KILLS = int(os.environ.get("IDPATCH_KILLS", "10"))
# With SIGTERM a run saves and exits, or ends as any process before it has begun to train.
ENDS = {"SIGKILL": {-signal.SIGKILL}, "SIGTERM": {EXIT_CODE, -signal.SIGTERM}}


def write_config(world: dict[str, str], folder: Path) -> Path:
    sections = settings(
        world,
        folder / "run",
        data={"workers": 1, "evaluation": world["evaluation"]},
        sampling={"every": 4, "images": 2, "steps": 1, "max_share": 1.0},
        losses={"identity": 0.1, "decode_max_timestep": 999, "decode_window": 4},
        run={"steps": STEPS, "save_every": 3, "ema_decay": 0.9, "gradient_accumulation": 2},
    )
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(sections))
    return folder / "config.json"


def test_killed_at_random_moments(world: dict[str, str], tmp_path: Path):
    configs = [str(write_config(world, tmp_path / name)) for name in ("undisturbed", "killed")]
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    kills = [("SIGKILL", "SIGTERM")[number % 2] for number in range(KILLS)]
    command = [sys.executable, str(SCRIPT), *configs, str(seed), *kills]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    timeout = 120 + 30 * KILLS
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
    ends = [(name, int(code)) for name, code in map(str.split, done.stdout.splitlines())]
    assert [name for name, _ in ends] == ["undisturbed", *kills, "end"], done.stderr[-3000:]
    assert ends[0][1] == ends[-1][1] == 0, done.stderr[-3000:]
    for name, code in ends[1:-1]:
        assert code in ENDS[name], ends
    runs = sorted((tmp_path / "killed").glob("run*"))
    print(f"{len(kills)} kills of {len(runs)} runs")
    for name in ("weights", "ema"):
        file = f"checkpoints/step-{STEPS:08d}/{name}.safetensors"
        expected = load_file(tmp_path / "undisturbed" / "run" / file)
        for run in runs:
            resumed = load_file(run / file)
            assert expected.keys() == resumed.keys()
            assert all(torch.equal(expected[key], resumed[key]) for key in expected), run
