"""Reads PyTorch's .bin and .pth files without running their code or taking more than their size.

PyTorch's own `weights_only` reader runs no code of a file, but allocates whatever the file asks
for. So the pickles are inspected before it reads them, and the tensors before they are used.
"""

import io
import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

MAX_PICKLE = 1 << 24  # bytes; names and shapes of 2,500 tensors take 0.5 MB
LEGACY_PICKLES = 5  # magic number, protocol, byte order, tensors, keys of the storages
# All that a file of dense tensors calls. PyTorch allows more, such as bytearray(1 << 40).
ALLOWED = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor(_v[23])?|parameter)"
    r"|torch(\.storage)? (?!Typed)\w+Storage|torch (u?int|b?float)\w+"
)
OTHER_TENSOR = re.compile(r"torch(\._utils|\._tensor)? _rebuild_\w+")
CALLS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


def read_torch_file(path: Path) -> dict[str, Any]:
    """Return the tensors of a PyTorch file by name; groups are flattened to `group.name`.

    The tensors of a zip are mapped from the file. Raises ValueError if it holds code or tensors
    that are not dense, asks for more memory than it takes on the disk, or cannot be read.
    """
    is_zip = _starts_as_zip(path)
    try:
        if is_zip:
            _check_zip(path)
        else:
            with path.open("rb") as file:
                for _ in range(LEGACY_PICKLES):
                    _check_pickle(file)
        content = torch.load(path, map_location="cpu", mmap=is_zip, weights_only=True)
    except _Refused as error:
        raise ValueError(str(error)) from None
    except pickle.UnpicklingError as error:
        # With weights_only PyTorch stops at the first name that does not belong to a tensor.
        raise ValueError(_more_than_weights(_refused_name(error))) from error
    except Exception as error:  # PyTorch lets through what its damaged input happens to raise
        raise ValueError(
            f"the file is damaged or truncated after {path.stat().st_size} bytes. Download it "
            f"again. ({first_line(error)})"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}, expected named tensors.")
    flat = _flatten(content)
    _check_memory(flat, path.stat().st_size)
    return flat


class _Refused(Exception):
    """A file that is not read; the message says why."""


def _starts_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # PyTorch stores its members as they are; packed ones could inflate to any size.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members) or (
            sum(member.file_size for member in members) > path.stat().st_size
        ):
            raise _Refused(
                "refused, because its zip is compressed, which PyTorch's own never is; it could "
                "take any amount of memory. Save the weights again with torch.save."
            )
        for member in members:
            if member.filename.endswith(".pkl"):
                if member.file_size > MAX_PICKLE:
                    raise _Refused(_more_than_weights(f"{member.file_size} bytes of names"))
                _check_pickle(io.BytesIO(archive.read(member)))


def _check_pickle(file: BinaryIO) -> None:
    """Read one pickle's instructions, without following them."""
    start = file.tell()
    strings: list[str] = []
    for opcode, argument, position in pickletools.genops(file):
        if isinstance(argument, str) and opcode.name != "GLOBAL":
            strings = [*strings[-1:], argument]
        if opcode.name in CALLS:
            raise _Refused(_more_than_weights(f"{opcode.name} {'.'.join(strings)}"))
        if opcode.name == "GLOBAL" and not ALLOWED.fullmatch(str(argument)):
            name = str(argument).replace(" ", ".")
            if OTHER_TENSOR.fullmatch(str(argument)):
                raise _Refused(f"it holds tensors that are not dense ({name}).")
            raise _Refused(_more_than_weights(f"GLOBAL {name}"))
        if (position or 0) - start > MAX_PICKLE:
            raise _Refused(_more_than_weights(f"over {MAX_PICKLE} bytes of names"))


def _more_than_weights(what: str) -> str:
    return (
        "refused, because it holds more than weights and may run code; none was run. "
        f"Do not use this file. ({what[:200]})"
    )


def _flatten(content: Mapping[Any, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        group = value if isinstance(value, Mapping) else {"": value}
        for key, tensor in group.items():
            if not isinstance(name, str) or not isinstance(key, str):
                raise ValueError("it holds numbers or lists as names, expected named tensors.")
            flat[f"{name}.{key}" if group is value else name] = tensor
    return flat


def _check_memory(tensors: Mapping[str, Any], size: int) -> None:
    """Refuse tensors without values of their own: expanded, overlapping, sparse, on no device."""
    total = 0
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            continue
        # The storage of a sparse tensor cannot even be asked for.
        if (
            type(tensor) not in (Tensor, nn.Parameter)
            or tensor.layout != torch.strided
            or tensor.device.type != "cpu"
            or tensor.is_quantized
        ):
            raise ValueError(f"{name} is not a dense tensor.")
        total += tensor.numel() * tensor.element_size()
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(
                f"{name} has {tensor.numel()} values, but the file stores fewer. Save the weights "
                "again with .contiguous()."
            )
    if total > size:
        raise ValueError(
            f"its tensors take {total} bytes, but the file has only {size}: they share their "
            "values. Save the weights again with .clone()."
        )


def _refused_name(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return next(
        (line for line in lines if "GLOBAL" in line or "Unsupported" in line), first_line(error)
    )


def first_line(error: Exception) -> str:
    """Return an exception's first line, or its type if it says nothing."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
