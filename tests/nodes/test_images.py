import numpy as np
import pytest
import torch


def test_images_with_alpha_or_in_grey_are_read(comfy):
    read = comfy.nodes.images.read_images
    alpha = torch.rand(2, 4, 5, 4)
    assert (
        read(alpha)[1] == (alpha[1, ..., :3] * alpha[1, ..., 3:] * 255).round().byte().numpy()
    ).all()
    assert read(torch.ones(1, 4, 5, 1))[0].tolist() == np.full((4, 5, 3), 255).tolist()


def test_what_is_no_image_is_an_error(comfy):
    with pytest.raises(ValueError, match=r"image: expected images \(N, H, W, 3\)"):
        comfy.nodes.images.read_images(torch.zeros(0, 4, 5, 3))
