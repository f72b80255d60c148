"""Writes safetensors files whose bytes depend on their content alone.

safetensors writes metadata in another order each time, so equal files would have other hashes.
"""

import contextlib
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LENGTH = struct.Struct("<Q")  # of the header, in front of it
ALIGNMENT = 8  # bytes, of the first tensor
DTYPE_NAMES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
}


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


def stream_safetensors(
    shapes: Mapping[str, tuple[int, ...]],
    dtype: "torch.dtype",
    read: "Callable[[str], Tensor]",
    path: Path,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors of one dtype, of which only one at a time has to be in memory.

    `shapes` are those of all tensors; `read` returns the tensor of a name. They are written in the
    order of their names.
    """
    import torch

    header: dict[str, object] = {}
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    end = 0
    for name, shape in sorted(shapes.items()):
        start, end = end, end + math.prod(shape) * dtype.itemsize
        kind = DTYPE_NAMES[str(dtype).removeprefix("torch.")]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // ALIGNMENT) * ALIGNMENT)
    with path.open("wb") as file:
        file.write(LENGTH.pack(len(text)) + text)
        for name in sorted(shapes):
            tensor = read(name).detach().to("cpu", dtype).contiguous()
            file.write(tensor.flatten().view(torch.uint8).numpy().data)


@contextlib.contextmanager
def replaced_when_complete(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` if nothing is raised."""
    temporary = path.with_name(f"{path.name}.part")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # safetensors writes files that only their owner can read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
