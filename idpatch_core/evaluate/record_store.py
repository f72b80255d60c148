"""Reads the records of scored images from the disk one at a time, so that many fit in memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

Record = dict[str, Any]


class RecordPlace(NamedTuple):
    """A record's line: its file, and where it begins, in bytes."""

    file: Path
    offset: int


class SavedRecords(Mapping[str, Record]):
    """The records saved in a folder, by the fingerprints of their cases.

    The last record of a fingerprint counts; one to "retry" only without another. Unfinished and
    damaged lines are left out.
    """

    def __init__(self, folder: Path):
        self._places: dict[str, RecordPlace] = {}
        for path in sorted(folder.glob("scores*.jsonl")):
            for record, place in _read_places(path):
                key = record.get("key")
                if isinstance(key, str) and not (record.get("retry") and key in self._places):
                    self._places[key] = place

    def __getitem__(self, key: str) -> Record:
        file, offset = self._places[key]
        with file.open("rb") as lines:
            lines.seek(offset)
            return json.loads(lines.readline())

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class SelectedRecords(Sequence[Record]):
    """Saved records in the order of these fingerprints; each is read whenever it is needed."""

    def __init__(self, saved: SavedRecords, keys: Sequence[str]):
        self._saved, self._keys = saved, keys

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "SelectedRecords": ...
    def __getitem__(self, index: int | slice) -> "Record | SelectedRecords":
        if isinstance(index, slice):
            return SelectedRecords(self._saved, self._keys[index])
        return self._saved[self._keys[index]]

    def __len__(self) -> int:
        return len(self._keys)


def _read_places(path: Path) -> Iterator[tuple[Record, RecordPlace]]:
    """Yield the complete records of a journal and where they are."""
    offset = 0
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                yield record, RecordPlace(path, offset)
            offset += len(line)
