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


def write_safetensors(
    tensors: "Mapping[str, Tensor]", path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors and metadata, with the metadata sorted by name."""
    from safetensors.torch import save_file

    save_file(dict(tensors), path, dict(metadata) if metadata else None)
    sort_metadata(path)


def serialize_tensors(
    tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return the content of the file that `write_safetensors` writes."""
    from safetensors.torch import save

    content = save(dict(tensors), dict(metadata) if metadata else None)
    (length,) = LENGTH.unpack(content[: LENGTH.size])
    end = LENGTH.size + length
    return content[: LENGTH.size] + _sort_header(content[LENGTH.size : end]) + content[end:]


def sort_metadata(path: Path) -> None:
    """Sort the metadata of a safetensors file by name, in place."""
    with path.open("r+b") as file:
        (length,) = LENGTH.unpack(file.read(LENGTH.size))
        header = _sort_header(file.read(length))
        file.seek(LENGTH.size)
        file.write(header)


def _sort_header(text: bytes) -> bytes:
    """Return a header of the same length with its metadata sorted by name."""
    header = json.loads(text)
    if "__metadata__" not in header:
        return text
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    ordered = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return ordered.ljust(len(text)) if len(ordered) <= len(text) else text  # spaces may end it
