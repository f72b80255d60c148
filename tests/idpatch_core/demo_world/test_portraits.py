"""Portraits: the same number and seed give the same image, with its keypoints in it."""

from pathlib import Path

import numpy as np
from PIL import Image

from idpatch_core.demo_world.portraits import PORTRAIT_SIZE, draw_portrait, write_portraits


def test_a_portrait_is_its_number_and_seed():
    first, again, other = (draw_portrait(5, seed) for seed in (0, 0, 1))
    assert first.pixels.shape == (PORTRAIT_SIZE, PORTRAIT_SIZE, 3)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.pixels != other.pixels).any()
    assert first.keypoints.shape == (5, 2)
    assert (first.keypoints > 0).all() and (first.keypoints < PORTRAIT_SIZE).all()


def test_portraits_are_written_by_name(tmp_path: Path):
    write_portraits(tmp_path / "new", {"Ada": 5})
    written = np.array(Image.open(tmp_path / "new" / "Ada.png"))
    np.testing.assert_array_equal(written, draw_portrait(5).pixels)
