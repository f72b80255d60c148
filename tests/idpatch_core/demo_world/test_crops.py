"""Face crops: the same number gives the same crop, and augmentation keeps their range."""

from pathlib import Path

import numpy as np
import torch

from idpatch_core.demo_world.crops import augment_crops, draw_crop, draw_crops


def test_a_crop_is_its_number():
    np.testing.assert_array_equal(draw_crop(3, 1), draw_crop(3, 1))
    assert (draw_crop(3, 1) != draw_crop(3, 2)).any()


def test_crops_are_kept_in_their_file(tmp_path: Path):
    crops = draw_crops(tmp_path / "new" / "a.crops", 3, 5, 2, workers=1)
    np.testing.assert_array_equal(crops[0, 1].numpy(), draw_crop(3, 1))
    assert torch.equal(draw_crops(tmp_path / "new" / "a.crops", 0, 0, 0, workers=1), crops)


def test_augmented_crops_keep_size_and_range():
    crops = torch.full((4, 112, 112, 3), 250.0)
    augmented = augment_crops(crops, np.random.default_rng(0))
    assert augmented.shape == crops.shape
    assert augmented.min() > 200 and augmented.max() <= 255
    assert len(augmented[:, 50, 50, 0].unique()) == 4
