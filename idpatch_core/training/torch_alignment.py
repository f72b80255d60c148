"""Aligns faces differentiably: gradients flow from the crop back into the image."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..alignment import CROP_SIZE, TEMPLATE, similarity_transform


def align_faces(images: Tensor, keypoints: Sequence[np.ndarray], size: int = CROP_SIZE) -> Tensor:
    """Cut faces out of images, as `idpatch_core.alignment.align_face` does, with gradients.

    `images` (N, C, H, W), one face in each; `keypoints` N times (5, 2) in pixels, constants.
    Returns (N, C, size, size), 0 outside the image. Bilinear sampling at the inverse of the
    similarity transform (Umeyama 1991) as in insightface's `norm_crop`; within one grey level of
    OpenCV's `warpAffine`.
    """
    if len(images) != len(keypoints):
        raise ValueError(f"{len(keypoints)} faces for {len(images)} images; give one each.")
    height, width = images.shape[2:]
    template = TEMPLATE * (size / CROP_SIZE)
    # In double precision, because an image may be thousands of pixels wide.
    steps = np.arange(size, dtype=np.float64)
    target = np.stack([*np.meshgrid(steps, steps), np.ones((size, size))], axis=-1)  # (S, S, 3)
    grids = []
    for points in keypoints:
        matrix = np.vstack([similarity_transform(points, template), [0.0, 0.0, 1.0]])
        source = target @ np.linalg.inv(matrix)[:2].T  # (S, S, 2) pixels
        grids.append((source + 0.5) * [2 / width, 2 / height] - 1)
    grid = torch.from_numpy(np.stack(grids)).to(images)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
