"""Temporary folders that are removed even after their process was killed: by the next one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from .lock import try_lock

PREFIX = "idpatch-"
LOCK = ".in-use"  # locked as long as the folder is used


class TemporaryFolder(NamedTuple):
    """A folder, and the lock that keeps other processes from removing it."""

    path: Path
    lock: IO[str]  # a child process that inherits it keeps the folder, too


@contextlib.contextmanager
def temporary_folder() -> Iterator[TemporaryFolder]:
    """Make a folder that is removed with the block, and remove those of killed processes."""
    remove_stale_folders()
    path, lock = make_locked_folder()
    try:
        with lock:
            yield TemporaryFolder(path, lock)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def make_locked_folder() -> tuple[Path, IO[str]]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = (path / LOCK).open("a")
        try:
            if try_lock(lock):
                return path, lock
        except OSError:
            return path, lock  # a file system without locks: no one removes it
        lock.close()  # another process was just taking it for a stale one


def remove_stale_folders() -> None:
    """Remove this user's folders whose processes have ended."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            own = not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()
            if own and not path.is_symlink() and is_unused(path):
                shutil.rmtree(path, ignore_errors=True)


def is_unused(path: Path) -> bool:
    """Tell whether a folder has a lock that no process holds; raises OSError if it has none."""
    with (path / LOCK).open("r+") as lock:
        return try_lock(lock)
