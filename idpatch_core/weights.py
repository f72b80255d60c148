"""Reads files of weights without trusting them, and tells what is in those that do not fit."""

import pickle
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

# What users put in the wrong folder: a tensor name's beginning, what it is and where it belongs.
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

    The content decides what kind of file it is. Groups of a PyTorch file are joined to names such
    as `group.name`. The tensors are mapped from the file, not copied. Raises ValueError, without
    running anything that the file holds, if it is neither, cut off, or more than weights.
    """
    if path.is_dir():
        raise ValueError("this is a folder, expected a file of weights.")
    if not path.is_file():
        raise ValueError(f"there is no such file in {path.parent}.")
    size = path.stat().st_size
    if size == 0:
        raise ValueError("the file is empty. Fetch it again.")
    with path.open("rb") as file:
        start = file.read(512)

    # First, because the length of a header (640 bytes, say) may look like the start of a pickle.
    if start[4:9] == b"\0\0\0\0{":
        (header,) = struct.unpack("<Q", start[:8])
        if header + 8 > size:
            raise ValueError(f"the file is cut off after {size} bytes. Fetch it again.")
        return _read_safetensors(path)
    # PyTorch's oldest format, a tar, is left out on purpose: its reader was not always safe.
    if start.startswith(b"PK\x03\x04") or (start[:1] == b"\x80" and start[1:2] <= b"\x05"):
        if path.suffix == ".safetensors":  # PyTorch would go by the name
            raise ValueError("this is a PyTorch file. Rename it to end in .bin or .pth.")
        return _read_pickle(path, mmap=start.startswith(b"PK")), {}
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(
            "this is a git-lfs pointer, not the weights. Run `git lfs pull`, or fetch the file "
            "with the browser."
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ValueError(
            "this is a web page saved under a model's name. Use the page's download link."
        )
    raise ValueError(
        "this is neither a .safetensors file nor one of PyTorch, or its beginning is missing."
    )


def _read_pickle(path: Path, mmap: bool) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", mmap=mmap, weights_only=True)
    except pickle.UnpicklingError as error:
        # With weights_only PyTorch stops at the first name that is not a tensor's.
        raise ValueError(
            "refused, because it holds more than weights and may run code; nothing of it was run. "
            f"Do not use this file. ({_refused(error)})"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, IndexError) as error:
        raise ValueError(
            f"the file is damaged or cut off after {path.stat().st_size} bytes. Fetch it again. "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}, expected named tensors.")
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{key}": tensor for key, tensor in value.items()})
        else:
            flat[str(name)] = value
    return flat


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"the file is damaged or cut off. Fetch it again. ({error})") from error
    return tensors, metadata


def looks_like(names: Iterable[str]) -> str:
    """Say what a file with these tensors probably is, and which folder it belongs in."""
    names = list(names)
    for beginning, what, folder in OTHER_MODELS:
        if any(name.startswith(beginning) for name in names):
            return f"it looks like {what}" + (f" (models/{folder})." if folder else ".")
    shown = ", ".join(names[:3]) or "nothing"
    return f"it holds another model's weights ({shown})."


def _refused(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0])
