"""A lock that one process at a time holds on a folder, with the standard library alone."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

INTERVAL = 0.2  # seconds between two attempts to take a lock that another process holds


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; the system releases it even if this process is killed."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as lock:
        if not try_lock(lock):
            print("Waiting for another run that prepares the environment", flush=True)
            while not try_lock(lock):
                time.sleep(INTERVAL)
        yield


def try_lock(file: IO[str]) -> bool:
    """Lock an open file unless another process holds its lock; tell whether it is ours now."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
