"""Scales, or leaves out, the ID tokens' gradient through the UNet's down and mid blocks.

A ControlNet acts on the up blocks alone. With a frozen UNet, the ID tokens are therefore the only
reason for a backward pass through the blocks before them, which is most of what a training step
costs beyond a plain ControlNet step. With factor n in every n-th batch and 0 between, the gradient
is unbiased.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


def token_gradient_factor(batch: int, every: int) -> float:
    """Return the factor for a batch, counted from 0: `every` in every n-th batch, else 0.

    An `every` of 0 leaves the gradient out in all batches.
    """
    return float(every) if every and batch % every == 0 else 0.0


@contextmanager
def scaled_token_gradient(unet: Any, factor: float) -> Iterator[None]:
    """Multiply the tokens' gradient through the UNet's down and mid blocks.

    The prediction stays the same. A factor of 0 leaves the backward pass of these blocks out.
    """

    def scale(_: nn.Module, inputs: tuple, named: dict) -> tuple[tuple, dict]:
        text = named.get("encoder_hidden_states")
        if text is not None and text.requires_grad:
            text = text.detach() if factor == 0 else text.view_as(text)
            if factor:
                text.register_hook(lambda gradient: gradient * factor)
            named = {**named, "encoder_hidden_states": text}
        return inputs, named

    blocks = () if factor == 1 else encoder_blocks(unet)
    hooks = [block.register_forward_pre_hook(scale, with_kwargs=True) for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def encoder_blocks(unet: Any) -> list[nn.Module]:
    """Return the UNet's down and mid blocks."""
    return [*unet.down_blocks, unet.mid_block]


def is_encoder_frozen(unet: Any) -> bool:
    return not any(p.requires_grad for block in encoder_blocks(unet) for p in block.parameters())
