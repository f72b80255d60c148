"""Weights sharded over several processes: FSDP's `DTensor`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def is_sharded(networks: nn.Module) -> bool:
    return any(_is_dtensor(parameter) for parameter in networks.parameters())


def _is_dtensor(tensor: Any) -> bool:
    if not torch.distributed.is_available():  # PyTorch was built without it
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def gather_tensor(tensor: Any) -> Tensor:
    """Return the full tensor; if it is sharded, all processes must call this."""
    return tensor.full_tensor() if _is_dtensor(tensor) else tensor


def gather_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the full tensors on the CPU; if they are sharded, all processes must call this."""
    return {
        name: gather_tensor(tensor.detach()).cpu().contiguous() for name, tensor in tensors.items()
    }


def shard_like(tensor: Tensor, other: Any) -> Tensor:
    """Copy a full tensor to the device of another, and shard it as that one is."""
    tensor = tensor.to(other.device, copy=True)  # it may be mapped from a file
    if not _is_dtensor(other):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, other.device_mesh, other.placements)
