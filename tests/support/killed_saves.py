"""Save Identities in processes that are killed at random moments.

    python killed_saves.py COMFYUI BASE KILLS SEED

ComfyUI and the pack are loaded once; each process to kill is a fork. It saves one person after the
other and notes each save in BASE/saved.txt once it is done. At last one more is saved undisturbed,
and the parts of files that were there before are counted and printed.
"""

import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from pack import load_pack, prepare_comfyui

from idpatch_core.journal import PART

PAUSE = 8.0  # saves at most until a kill, in the time that one takes undisturbed
PEOPLE = 40  # of a file, which then has 1.5 megabytes


def make_people(pack: ModuleType, name: str) -> list:
    """Return people whose names begin with `name`, with crops of noise."""
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (PEOPLE, 112, 112, 3), np.uint8)
    embeddings = torch.nn.functional.normalize(torch.ones(PEOPLE, 512), dim=1)
    identity = pack.idpatch_core.identity.Identity
    return [
        identity(f"{name} {i}", *pair) for i, pair in enumerate(zip(embeddings, crops, strict=True))
    ]


def save_people(pack: ModuleType, run: int, notes: Path) -> None:
    """Save people `run.0`, `run.1` and so on, until the process is killed."""
    for number in itertools.count():
        save_once(pack, f"{run}.{number}", notes)


def save_once(pack: ModuleType, name: str, notes: Path) -> None:
    people = make_people(pack, name)
    pack.nodes.identities.IDPatchSaveIdentities.execute(people, "family/people")
    with notes.open("a") as file:
        file.write(f"{name}\n")


def age_parts(base: Path) -> int:
    """Let what killed processes left be older than what another one may be writing; count it."""
    parts = list(base.rglob(f"*{PART}"))
    for part in parts:
        os.utime(part, (0, 0))
    return len(parts)


def main(comfyui: Path, base: Path, kills: int, seed: int) -> None:
    prepare_comfyui(comfyui, base)
    pack, moments = load_pack(), random.Random(seed)
    seconds = []
    for number in range(3):
        begin = time.monotonic()
        save_once(pack, f"first.{number}", base / "saved.txt")
        seconds.append(time.monotonic() - begin)
    for run in range(kills):
        child = os.fork()
        if child == 0:
            try:
                save_people(pack, run, base / "saved.txt")
            finally:
                os._exit(1)  # it ends only when it is killed, or by an error
        time.sleep(moments.uniform(0, PAUSE * sorted(seconds)[1]))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"the process of run {run} ended by itself"
    parts = age_parts(base)
    save_once(pack, "last.0", base / "saved.txt")
    print(parts)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
