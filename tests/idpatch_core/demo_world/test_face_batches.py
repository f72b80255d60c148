"""Batches of faces: boxes and keypoints are scaled and moved with their images."""

import numpy as np
import torch

from idpatch_core.demo_world.face_batches import SceneFaces, augment_images, draw_single_faces


def test_single_faces_lie_in_their_images():
    faces = draw_single_faces(np.random.default_rng(0), 6, 0, 20)
    assert faces.images.shape == (6, 3, 256, 256)
    assert (faces.boxes > -1).all() and (faces.boxes < 257).all()


def test_scenes_are_scaled_with_their_faces(scenes: SceneFaces):
    widths = set()
    for seed in range(12):
        faces = scenes.sample(np.random.default_rng(seed), 3)
        height, width = faces.images.shape[2:]
        widths.add(width)
        assert height % 32 == width % 32 == 0
        heads = faces.boxes[:, 2] - faces.boxes[:, 0]
        assert (heads > 0.1 * width).all() and (heads < 0.4 * width).all()
        low, high = faces.boxes[:, None, :2], faces.boxes[:, None, 2:]
        assert ((faces.keypoints > low) & (faces.keypoints < high)).all()
    assert len(widths) > 2


def test_augmented_images_keep_size_and_range():
    images = torch.rand(2, 3, 64, 96)
    augmented = augment_images(images, np.random.default_rng(0))
    assert augmented.shape == images.shape
    assert augmented.min() >= 0 and augmented.max() <= 1
