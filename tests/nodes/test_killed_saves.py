"""Save Identities, killed at random moments: each file that is there is whole, and none is lost."""

import os
import random
import subprocess
import sys
from pathlib import Path

import killed_saves
import pytest
from random_kills import KILLS, ROOT

from idpatch_core.comfyui.environment import find_comfyui
from idpatch_core.identity import load_identities


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not have fork")
def test_killed_at_random_moments(tmp_path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    kills = max(KILLS, 20)  # which take 0.1 s each
    script = killed_saves.__file__
    support = f"{ROOT}{os.pathsep}{Path(script).parent}"
    done = subprocess.run(
        [
            sys.executable,
            killed_saves.__file__,
            str(find_comfyui()),
            tmp_path,
            str(kills),
            str(seed),
        ],
        env={**os.environ, "PYTHONPATH": support, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    files = sorted((tmp_path / "output" / "identities" / "family").glob("*.safetensors"))
    names = []
    for file in files:
        people = load_identities(file)
        name = people[0].name.rpartition(" ")[0]
        assert [p.name for p in people] == [f"{name} {i}" for i in range(killed_saves.PEOPLE)]
        names.append(name)
    assert [file.name for file in files] == [
        f"people_{number:05}_.safetensors" for number in range(1, len(files) + 1)
    ]
    saved = (tmp_path / "saved.txt").read_text().splitlines()
    assert len(saved) > kills, "the kills came too early"
    assert len(set(names)) == len(names), "a file was written twice"
    assert set(saved) <= set(names), "a file that was saved is lost"
    # A process may be killed between its last file and its note.
    assert len(names) <= len(saved) + kills
    assert not list(files[0].parent.glob(".*")), "a later save left a part of a file"
    print(f"{kills} kills, {len(files)} files, {done.stdout.strip()} parts of files removed")
