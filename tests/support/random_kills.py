"""Kills a command at random moments and repeats it, as IDPATCH_KILLS says (default: 2 kills)."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("IDPATCH_KILLS", "2"))
PAUSE = 0.3  # seconds at most from the progress that a kill waits for to the kill
PATIENCE = 300.0  # seconds for a run


def start(arguments: Sequence[str], log: Path) -> subprocess.Popen:
    """Start Python with these arguments, in a process group of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def run_to_end(arguments: Sequence[str], log: Path) -> float:
    """Run Python with these arguments and return the seconds that it took."""
    begin = time.monotonic()
    process = start(arguments, log)
    assert process.wait(PATIENCE) == 0, log.read_text()[-3000:]
    return time.monotonic() - begin


def kill_at_random_moments(
    arguments: Sequence[str],
    log: Path,
    seconds: float,
    total: int,
    count_done: Callable[[], int],
    check: Callable[[], None],
    start_over: Callable[[], None],
    seed: int | None = None,
) -> None:
    """Kill a command KILLS times; print the seed, and the kills while some of `total` were done.

    A kill comes at any of the `seconds` that an undisturbed run takes, or within PAUSE of a random
    number of things done. `check` is called after each; after a run that was faster than its kill,
    `start_over` is called as well.
    """
    seed = random.randrange(2**32) if seed is None else seed
    print(f"seed {seed}")
    moments, kills, during = random.Random(seed), 0, 0
    while kills < KILLS:
        begun = count_done()
        until = moments.randint(begun, total)
        process = start(arguments, log)
        try:
            deadline = time.monotonic() + PATIENCE
            while count_done() < until and process.poll() is None:
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                time.sleep(0.002)
            process.wait(moments.uniform(0, PAUSE if until > begun else seconds))
        except subprocess.TimeoutExpired:
            pass
        finally:
            killed = process.poll() is None
            if killed:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if killed:
            kills += 1
            during += 0 < count_done() < total
            check()
            continue
        assert process.returncode == 0, log.read_text()[-3000:]
        check()
        start_over()
    print(f"{kills} kills, {during} of them while some of {total} were done")
