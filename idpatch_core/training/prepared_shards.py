"""Stores the tensors of prepared images in tar shards of bounded size, not in a million files.

A shard is an uncompressed tar file in the format of WebDataset, with one `.safetensors` file for
each image, so other tools read it too. The index names each image's part of its shard, so training
reads images in any order: its batches depend on the seed and the step alone, which a stream of
shards does not give.
"""

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import load
from torch import Tensor

from .sources import FileSlice

SHARD_FOLDER = "shards"
SHARD_BYTES = 1_000_000_000  # from which the next image begins a new shard
END = bytes(2 * tarfile.BLOCKSIZE)  # of a tar file


def image_slice(folder: Path, record: dict[str, Any]) -> FileSlice:
    """Return where a record's tensors are: in a shard, or in a file of their own."""
    return FileSlice(str(folder / record["file"]), record.get("offset", 0), record.get("size", -1))


def read_tensors(file: FileSlice) -> dict[str, Tensor]:
    """Return the tensors of an image; ValueError naming the file if it is damaged."""
    try:
        return load(file.read())
    except Exception as error:  # safetensors has kinds of its own
        raise ValueError(
            f"data: {file.path} is damaged: {error}. Remove it and run prepare again."
        ) from error


def find_complete(files: Iterable[FileSlice]) -> set[FileSlice]:
    """Return those of many files, and parts of files, that exist to their end."""
    files = set(files)
    folders = {Path(file.path).parent for file in files}
    sizes = {
        str(path): path.stat().st_size
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
    }
    return {f for f in files if f.offset + max(f.size, 0) <= sizes.get(f.path, -1)}


class ShardWriter:
    """Appends images to the last shard of a folder, or to a new one when that is full.

    `records` are those of the index. What was written after the last of them, when a process was
    killed, is cut off.
    """

    def __init__(self, folder: Path, records: Iterable[dict[str, Any]]):
        self._folder = folder / SHARD_FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        ends: dict[str, int] = {}
        for record in records:
            if "offset" in record:
                end = record["offset"] + _round_up(record["size"])
                ends[record["file"]] = max(ends.get(record["file"], 0), end)
        numbers = [int(path.stem) for path in self._folder.glob("*.tar") if path.stem.isdigit()]
        numbers += [int(Path(file).stem) for file in ends]
        self._number = max(numbers, default=0)
        end = ends.get(self._name, 0)
        if self._path.is_file() and self._path.stat().st_size < end:
            self._number, end = self._number + 1, 0  # it was damaged
        elif end and not self._path.is_file():
            self._number, end = self._number + 1, 0  # it was lost
        self._file = self._open(end)

    @property
    def _name(self) -> str:
        return f"{SHARD_FOLDER}/{self._number:06d}.tar"

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._number:06d}.tar"

    def _open(self, end: int) -> io.BufferedRandom:
        self._path.touch()
        file = self._path.open("r+b")
        file.truncate(end)
        file.seek(end)
        return file

    def append(self, name: str, content: bytes) -> dict[str, Any]:
        """Append a file and return the record's `file`, `offset` and `size`; it is on the disk."""
        if self._file.tell() and self._file.tell() + len(content) > SHARD_BYTES:
            self.close()
            self._number += 1
            self._file = self._open(0)
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._file.write(member.tobuf(tarfile.PAX_FORMAT))
        offset = self._file.tell()
        self._file.write(content.ljust(_round_up(len(content)), b"\0"))
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"file": self._name, "offset": offset, "size": len(content)}

    def close(self) -> None:
        """Complete the shard, so that other tools read it; a later writer continues it."""
        if not self._file.closed:
            if self._file.tell():
                self._file.write(END)
            self._file.close()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _round_up(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
