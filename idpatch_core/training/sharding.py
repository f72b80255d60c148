"""Weights that several processes keep in parts: FSDP's `DTensor`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def is_sharded(networks: nn.Module) -> bool:
    return any(_is_part(parameter) for parameter in networks.parameters())


def _is_part(tensor: Any) -> bool:
    if not torch.distributed.is_available():  # PyTorch was built without
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def whole(tensor: Any) -> Tensor:
    """Return the whole of a tensor; every process must ask for it if it is kept in parts."""
    return tensor.full_tensor() if _is_part(tensor) else tensor


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return whole tensors on the CPU by their names; every process must ask for them."""
    return {name: whole(tensor.detach()).cpu().contiguous() for name, tensor in tensors.items()}


def kept_as(tensor: Tensor, other: Any) -> Tensor:
    """Return a whole tensor on the device of another, and in parts as that is."""
    tensor = tensor.to(other.device)
    if not _is_part(other):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, other.device_mesh, other.placements)
