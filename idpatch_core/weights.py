"""Reads files of weights safely, and identifies those that do not fit."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from .torch_file import first_line, read_torch_file

WEIGHT_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
MAX_NAME = 200  # characters; errors repeat names

# Files that users put in the wrong folder: a tensor name's prefix, the model and its folder.
OTHER_MODELS = (
    ("model.diffusion_model.", "a Stable Diffusion checkpoint or diffusion model", "checkpoints"),
    ("conditioner.embedders.", "a Stable Diffusion checkpoint", "checkpoints"),
    ("image_proj", "an IP-Adapter", "ipadapter"),
    ("ip_adapter", "an IP-Adapter", "ipadapter"),
    ("controlnet_cond_embedding.", "a ControlNet", "controlnet"),
    ("control_model.", "a ControlNet", "controlnet"),
    ("input_layer.0.", "the ArcFace face recognition network", "facexlib"),
    ("add_embedding.", "a diffusion model", "diffusion_models"),
    ("lora_", "a LoRA", "loras"),
    ("text_model.", "a text encoder", "text_encoders"),
    ("decoder.conv_in.", "a VAE", "vae"),
    ("state_dict", "a training checkpoint of another project", ""),
)


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tensors of a .safetensors or PyTorch file by name, and its metadata.

    The content decides which kind of file it is. Groups of a PyTorch file are flattened to names
    such as `group.name`. The tensors are mapped from the file, not copied: together they are no
    larger than the file. Raises ValueError, without running any code of the file, if it is neither,
    truncated, or holds more than weights.
    """
    try:
        tensors, metadata = _read_file(path)
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror or error}).") from error
    for name, tensor in tensors.items():
        if len(name) > MAX_NAME:
            raise ValueError(f"it holds a name of {len(name)} characters, {name[:20]}…")
        if isinstance(tensor, Tensor) and not tensor.numel():
            raise ValueError(f"{name} has the shape {list(tensor.shape)}, expected values.")
    return tensors, metadata


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    if path.is_dir():
        raise ValueError("this is a folder, expected a file of weights.")
    if not path.is_file():
        raise ValueError(f"there is no such file in {path.parent}.")
    size = path.stat().st_size
    if size == 0:
        raise ValueError("the file is empty. Download it again.")
    with path.open("rb") as file:
        start = file.read(512)

    # First, because a header length (640 bytes, for example) may look like the start of a pickle.
    if start[4:9] == b"\0\0\0\0{":
        (header,) = struct.unpack("<Q", start[:8])
        if header + 8 > size:
            raise ValueError(f"the file is truncated after {size} bytes. Download it again.")
        return _read_safetensors(path)
    # PyTorch's oldest format, a tar, is not supported: its reader was not always safe.
    if start.startswith(b"PK\x03\x04") or (start[:1] == b"\x80" and start[1:2] <= b"\x05"):
        if path.suffix == ".safetensors":  # PyTorch would go by the name
            raise ValueError("this is a PyTorch file. Rename it to end in .bin or .pth.")
        return read_torch_file(path), {}
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(
            "this is a git-lfs pointer, not the weights. Run `git lfs pull`, or download "
            "the file with the browser."
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ValueError(
            "this is a web page saved under a model's name. Use the page's download link."
        )
    raise ValueError(
        "this is neither a .safetensors nor a PyTorch file, or its beginning is missing. Download "
        "it again."
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # besides SafetensorError what damaged input happens to raise
        raise ValueError(
            f"the file is damaged or truncated. Download it again. ({first_line(error)})"
        ) from error
    return tensors, metadata


def check_tensors(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise a ValueError unless both hold tensors of the same names and shapes.

    No value is read. Where a floating-point dtype is expected, any of WEIGHT_DTYPES will do.
    """
    problems = []
    if missing := [name for name in expected if name not in given]:
        problems.append(f"it lacks {_some(missing)}")
    if unknown := [name for name in given if name not in expected]:
        problems.append(f"it has tensors that do not belong there: {_some(unknown)}")
    misshapen = [
        f"{name} has the shape {list(given[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    problems += misshapen[:1]
    mistyped = [
        f"{name} holds {_dtype_name(given[name])}, expected float32, float16 or bfloat16"
        for name, tensor in expected.items()
        if tensor.is_floating_point()
        and name in given
        and given[name].dtype not in WEIGHT_DTYPES.values()
    ]
    problems += mistyped[:1]
    if problems:
        raise ValueError("; ".join(problems))


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise a ValueError that names the first tensor with a value that is not finite."""
    for name, tensor in tensors.items():
        # The extremes of a tensor are finite if all of it is, and take a fifth of the time.
        if tensor.is_floating_point() and not all(x.isfinite() for x in torch.aminmax(tensor)):
            raise ValueError(
                f"{name} holds values that are not finite in {_dtype_name(tensor)}. The file is "
                "damaged, or its weights do not fit in that dtype."
            )


def _dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(names[:3])
    return f"{listed} and {len(names) - 3} more" if len(names) > 3 else listed


def describe_model(names: Iterable[str]) -> str:
    """Return what a file with these tensors probably is, and which folder it belongs in."""
    names = list(names)
    for prefix, model, folder in OTHER_MODELS:
        if any(name.startswith(prefix) for name in names):
            return f"it looks like {model}" + (f" (models/{folder})." if folder else ".")
    some = ", ".join(names[:3]) or "none"
    return f"it holds another model's weights ({some})."
