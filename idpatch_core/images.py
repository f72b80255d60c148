"""Converts between float images in [0, 1] and uint8 pixels."""

import numpy as np
import torch
from torch import Tensor


def on_black(image: Tensor) -> Tensor:
    """Return a float image (..., C) without its alpha, if it has one: on black, as ComfyUI does."""
    if image.shape[-1] != 4:
        return image
    return image[..., :3] * image[..., 3:].clamp(0, 1)


def to_uint8(image: Tensor) -> np.ndarray:
    """Return a float image of any shape, nominally in [0, 1], as uint8 on the CPU, rounded."""
    # In place: each further copy costs as much as finding the faces in a small image.
    return image.mul(255).round_().clamp_(0, 255).byte().cpu().numpy()


def to_float(pixels: np.ndarray) -> Tensor:
    """Return uint8 pixels of any shape as a float32 image in [0, 1]."""
    return torch.from_numpy(pixels).to(torch.float32).div_(255)
