"""Writes safetensors files whose bytes depend on their content alone.

safetensors writes metadata in another order each time, so equal files would have other hashes.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LENGTH = struct.Struct("<Q")  # of the header, in front of it


def save_tensors(
    tensors: "Mapping[str, Tensor]", path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors and metadata, with the metadata sorted by name."""
    from safetensors.torch import save_file

    save_file(dict(tensors), path, dict(metadata) if metadata else None)
    sort_metadata(path)


def sort_metadata(path: Path) -> None:
    """Sort the metadata of a safetensors file by name, in place."""
    with path.open("r+b") as file:
        (length,) = LENGTH.unpack(file.read(LENGTH.size))
        header = json.loads(file.read(length))
        if "__metadata__" not in header:
            return
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= length:  # the writer escapes as little; spaces may end a header
            file.seek(LENGTH.size)
            file.write(text.ljust(length))
