"""Writes an SDXL ControlNet in another dtype: at half precision its file has half the size.

The names stay as they are, diffusers' or those of the original ControlNet; ComfyUI's Load
ControlNet Model reads both.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .safetensors_file import replaced_when_complete, stream_safetensors
from .weights import WEIGHT_DTYPES, check_finite, read_weights

CONTROL_NET_DTYPES = {**WEIGHT_DTYPES, "fp8": torch.float8_e4m3fn}
# The first layer of the condition image, in diffusers' files and in the original's.
FIRST_LAYERS = ("controlnet_cond_embedding.conv_in.weight", "input_hint_block.0.weight")
SDXL_LAYERS = ("add_embedding.linear_1.weight", "label_emb.0.0.weight")
ORIGINAL_PREFIX = "control_model."


def is_control_net(names: Iterable[str]) -> bool:
    """Return whether a file with these tensors holds a ControlNet."""
    return any(name.removeprefix(ORIGINAL_PREFIX) in FIRST_LAYERS for name in names)


def check_sdxl_control_net(tensors: dict[str, Any]) -> None:
    """Raise a ValueError unless these are the weights of an SDXL ControlNet."""
    if not any(name.removeprefix(ORIGINAL_PREFIX) in SDXL_LAYERS for name in tensors):
        raise ValueError("this ControlNet is not one for SDXL, which ID-Patch needs.")
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or tensor.dtype not in CONTROL_NET_DTYPES.values():
            kind = getattr(tensor, "dtype", type(tensor).__name__)
            raise ValueError(
                f"{name} holds {str(kind).removeprefix('torch.')}, expected float32, float16, "
                "bfloat16 or float8_e4m3fn."
            )


class ConvertedControlNet(NamedTuple):
    """The number of parameters, and how many of them became zero because they are too small."""

    parameters: int
    vanished: int


def convert_control_net(
    source: Path, target: Path, dtype: torch.dtype | None = None
) -> ConvertedControlNet:
    """Write the ControlNet of one file to another.

    `dtype` converts the weights; without it they keep that of the file's first tensor. One tensor
    at a time is in memory. An existing file is replaced only when the new one is complete. Raises
    ValueError if the source is no ControlNet for SDXL, or if a value does not fit in `dtype`.
    """
    if target.suffix != ".safetensors":
        raise ValueError(f"{target.name}: write the ControlNet to a name ending in .safetensors.")
    if not target.parent.is_dir():
        raise ValueError(f"{target.name}: there is no folder {target.parent}")
    vanished = 0
    try:
        tensors, metadata = read_weights(source)  # mapped from the file
        check_sdxl_control_net(tensors)
        new_dtype = dtype or next(iter(tensors.values())).dtype

        def read(name: str) -> Tensor:
            nonlocal vanished
            tensor, limit = tensors[name].float(), torch.finfo(new_dtype).max
            check_finite({name: tensor})
            if (largest := float(tensor.abs().amax())) > limit:
                kind = str(new_dtype).removeprefix("torch.")
                raise ValueError(
                    f"{name} holds {largest:g}, the largest value of {kind} is {limit:g}. Convert "
                    "to another dtype."
                )
            converted = tensors[name].to(new_dtype)
            vanished += int(tensor.count_nonzero()) - int(converted.float().count_nonzero())
            return converted

        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        with replaced_when_complete(target) as temporary:
            stream_safetensors(shapes, new_dtype, read, temporary, metadata)
    except ValueError as error:
        raise ValueError(f"{source.name}: {error}") from error
    return ConvertedControlNet(sum(tensor.numel() for tensor in tensors.values()), vanished)
