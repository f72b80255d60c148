"""Trains undisturbed, and again with kills at random moments until the run is left to end.

python tests/support/killed_runs.py UNDISTURBED_CONFIG KILLED_CONFIG SIGNAL...

Each run is a fork, because a new interpreter needs many seconds to import torch and diffusers. The
moments are drawn from the time that the undisturbed run takes. Prints how each ended: the exit
code, or minus the signal. A signal reaches all processes of a run, as a scheduler's does.
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


def main(undisturbed: str, killed: str, signals: list[str]) -> None:
    import_all()
    began = time.monotonic()
    print("undisturbed", run(undisturbed), flush=True)
    duration, moments = time.monotonic() - began, random.Random(7)
    for name in signals:
        seconds = moments.uniform(0.0, 0.8) * duration
        print(name, run(killed, name, seconds), flush=True)
    print("end", run(killed))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
