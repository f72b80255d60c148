"""Trains undisturbed, and again with kills at random moments until the run is left to end.

python tests/support/killed_runs.py UNDISTURBED_CONFIG KILLED_CONFIG SEED SIGNAL...

Each run is a fork, because a new interpreter needs many seconds to import torch and diffusers. The
moments are drawn from the time that the undisturbed run takes. Prints how each ended: the exit
code, or minus the signal. A signal reaches all processes of a run, as a scheduler's does. A run
that ends before its signal is moved to FOLDER.ended-N, and its signal awaits the next.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]


def import_all() -> None:
    """Import what a run imports while it starts."""
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel  # noqa: F401
    from torch.utils.tensorboard import SummaryWriter  # noqa: F401

    import idpatch_core.training.trainer  # noqa: F401


def start(config: str) -> int:
    """Train in a child process; return its ID."""
    from idpatch_core.training.__main__ import main

    child = os.fork()
    if child:
        return child
    os.setsid()
    code = 1
    try:
        code = main([config])
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        os._exit(code)


def run(config: str, name: str = "", seconds: float = 0.0) -> int:
    """Train, and send the named signal after some time; return the exit code, or minus a signal."""
    child, deadline = start(config), time.monotonic() + seconds
    while name and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    if name:
        os.killpg(child, getattr(signal, name))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def move_ended(config: str, number: int) -> None:
    """Give the folder of a run that ended another name, so that the next begins anew."""
    folder = Path(config).with_name("run")
    folder.rename(folder.with_name(f"run.ended-{number}"))


def main(undisturbed: str, killed: str, seed: int, signals: list[str]) -> None:
    import_all()
    began = time.monotonic()
    print("undisturbed", run(undisturbed), flush=True)
    duration, moments, ended = time.monotonic() - began, random.Random(seed), 0
    for name in signals:
        code = 0
        while code == 0:
            code = run(killed, name, moments.uniform(0.0, 0.8) * duration)
            if code == 0:
                move_ended(killed, ended)
                ended += 1
        print(name, code, flush=True)
    print("end", run(killed))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
