"""The differentiable alignment agrees with OpenCV's."""

import numpy as np
import pytest
import torch
from torch import Tensor

from idpatch_core.alignment import align_face
from idpatch_core.training.torch_alignment import align_faces

# A face rotated by about 20 degrees, and one that extends beyond the corner.
TURNED = np.array([[70, 60], [100, 71], [80, 82], [63, 88], [88, 98]], np.float32)
CORNER = np.array([[5, 3], [30, 2], [18, 16], [8, 30], [27, 31]], np.float32)


def smooth_image() -> np.ndarray:
    y, x = np.mgrid[0:150, 0:200]
    waves = [np.sin(x / 9 + y / 17), np.cos(x / 13 - y / 7), np.sin(x / 29) * np.cos(y / 11)]
    return np.rint(127.5 + 127 * np.stack(waves, axis=-1)).astype(np.uint8)


def to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("keypoints", [TURNED, CORNER], ids=["turned", "corner"])
def test_within_a_grey_level_of_opencv(keypoints: np.ndarray):
    image = smooth_image()
    expected = align_face(image, keypoints).astype(int)
    crop = align_faces(to_tensor(image), [keypoints])[0].permute(1, 2, 0)
    assert np.abs(crop.round().int().numpy() - expected).max() <= 1
    assert expected.std() > 20  # the crop is not uniform


def test_gradients_reach_the_face_and_nothing_else():
    image = to_tensor(smooth_image()).requires_grad_()
    align_faces(image, [TURNED]).sum().backward()
    assert image.grad is not None
    assert image.grad[0, :, 80, 80].min() > 0  # the nose
    assert image.grad[0, :, 10:20, 180:190].abs().max() == 0


def test_each_image_needs_one_face():
    with pytest.raises(ValueError, match="2 faces for 1 images"):
        align_faces(torch.zeros(1, 3, 8, 8), [TURNED, CORNER])
