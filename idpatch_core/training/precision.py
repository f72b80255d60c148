"""Mixed precision: which networks run, and which are stored, in half precision."""

from typing import Any

import torch

from .networks import Networks

HALF_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(accelerator: Any) -> torch.autocast:
    """Return the context in which the networks run in the run's precision."""
    dtype = HALF_DTYPES.get(accelerator.mixed_precision)
    return torch.autocast(accelerator.device.type, dtype, enabled=dtype is not None)


def cast_frozen(networks: Networks, precision: str) -> None:
    """Store a UNet or ControlNet without trainable parameters in the half precision it runs in."""
    if precision in HALF_DTYPES:
        for network in (networks.unet, networks.controlnet):
            if not any(p.requires_grad for p in network.parameters()):
                network.to(HALF_DTYPES[precision])
