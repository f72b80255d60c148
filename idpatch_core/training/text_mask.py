"""Hides vectors of the text from a ControlNet.

diffusers' UNet takes a mask of the text, its ControlNet has none, but the blocks of both do. Images
of one batch can then have ID tokens or the text alone, as they have at inference before and after
the injection.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from .token_gradient import encoder_blocks

HIDDEN = -10000.0  # added to the attention's logits, as in diffusers' UNet


@contextmanager
def masked_text(controlnet: Any, mask: Tensor | None) -> Iterator[None]:
    """Hide the text's vectors where the mask (B, N) is 0; None hides none."""
    if mask is None:
        yield
        return
    bias = (1 - mask)[:, None] * HIDDEN  # (B, 1, N)

    def add_mask(_: nn.Module, inputs: tuple, named: dict) -> tuple[tuple, dict]:
        return inputs, {**named, "encoder_attention_mask": bias}

    blocks = [b for b in encoder_blocks(controlnet) if getattr(b, "has_cross_attention", False)]
    hooks = [block.register_forward_pre_hook(add_mask, with_kwargs=True) for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
