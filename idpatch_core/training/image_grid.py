"""Arranges images in a grid and writes it."""

from pathlib import Path

import torch
from torch import Tensor


def make_grid(images: Tensor, columns: int = 4) -> Tensor:
    """Arrange images (N, 3, h, w) row by row in one (3, H, W); the remaining cells are black."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    cells = torch.zeros(rows * columns, channels, height, width)
    cells[:count] = images
    cells = cells.view(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    return cells.reshape(channels, rows * height, columns * width)


def save_image(image: Tensor, path: Path) -> None:
    """Write an image (3, H, W) in [0, 1]."""
    from PIL import Image

    array = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(path)
