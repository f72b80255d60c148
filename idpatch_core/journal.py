"""A file of JSON lines that stays readable if the process is killed at any moment."""

import contextlib
import errno
import glob
import io
import json
import os
import time
from pathlib import Path
from typing import Any

PART = ".part"  # the suffix of a file that is being written
OLD_PART = 60.0  # seconds after which no process is writing to it any more


def read(path: Path) -> list[dict[str, Any]]:
    """Return the complete records of a journal, in order; none if there is no file.

    An unfinished last line, of a process that was killed, is left out, as is a line that is not
    JSON (after a power failure a file may have its length but not its bytes).
    """
    if not path.is_file():
        return []
    records = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


class Journal:
    """Appends records to a file of JSON lines; each is on the disk when `append` returns."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        _cut_torn_line(path)

    def append(self, record: dict[str, Any]) -> None:
        """Append a record; if the disk is full, OSError is raised and the file is as before."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        try:
            _write_all(self._file, line)
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cut_torn_line(path: Path) -> None:
    whole = path.read_bytes().rfind(b"\n") + 1
    if whole < path.stat().st_size:
        os.truncate(path, whole)


def _write_all(file: io.FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: it exists completely or not at all.

    An error, such as that of a full disk, leaves no part of it. A process that is killed may leave
    one, which `remove_parts` removes.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb", buffering=0) as file:
            _write_all(file, content)
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left of files; none may be writing to the folder."""
    for part in folder.glob(f".*{PART}"):
        part.unlink(missing_ok=True)


def remove_old_parts(folder: Path, stem: str) -> None:
    """Remove what killed processes left of files whose names begin so, if it is a minute old.

    A younger one may belong to another process that is writing to the folder.
    """
    newest = time.time() - OLD_PART
    for part in folder.glob(f".{glob.escape(stem)}*{PART}"):
        with contextlib.suppress(OSError):  # another process removed it, or it is not ours
            if part.stat().st_mtime <= newest:
                part.unlink()


def describe_os_error(error: OSError, folder: Path) -> str:
    """Return one sentence about an error while a run wrote to a folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{folder}: {error.strerror}. Make room and run the same command again to resume."
    return f"{error.filename or folder}: {error.strerror or error}."
