"""Grids of images."""

import torch

from idpatch_core.training.image_grid import make_grid


def test_a_grid_goes_row_by_row():
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(-1, 3, 2, 2)
    grid = make_grid(images, columns=2)
    assert grid.shape == (3, 4, 4)
    assert grid[0, ::2, ::2].tolist() == [[0, 1], [2, 0]]
