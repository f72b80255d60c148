"""A hint of another size."""

import numpy as np
import pytest
import torch

from idpatch_core.canvas import Hint, compose, make_figures
from idpatch_core.layout import Point
from idpatch_core.overlap import SOFT
from idpatch_core.poses import make_standing
from idpatch_core.resize_hint import resize_hint
from idpatch_core.skeleton import draw_openpose, find_heads

NAMES = ("Ann", "Bob")
PATCHES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def make_hint(width: int, height: int, posed: bool = True) -> Hint:
    """Return the hint of two standing people, as the Patch Placer makes it at this size."""
    poses = make_standing(2, width, height)
    heads = find_heads(poses)[0]
    points = tuple(head.point for head in heads)
    base = torch.zeros(1, 3, height, width)
    if posed:
        drawn = torch.from_numpy(draw_openpose(poses, width, height))
        base = drawn.permute(2, 0, 1)[None].float() / 255
    figures = make_figures(points, heads, 32)
    image = compose(base, list(PATCHES), points)
    return Hint(image, base, points, NAMES, figures, torch.from_numpy(poses) if posed else None)


def test_it_is_the_hint_that_is_made_at_that_size():
    made, expected = resize_hint(make_hint(256, 192), PATCHES, 512, 384), make_hint(512, 384)
    assert (made.width, made.height) == (512, 384)
    np.testing.assert_allclose(made.points, expected.points)
    assert made.poses is not None and expected.poses is not None
    torch.testing.assert_close(made.poses, expected.poses)
    # A joint at the middle of a pixel may be rounded to either side.
    assert (made.base != expected.base).float().mean() < 0.002
    assert (made.image - made.base).abs().max() > 1
    for one, other in zip(made.figures, expected.figures, strict=True):
        assert one and other
        np.testing.assert_allclose(one.point, other.point)
        assert len(one.limbs) == len(other.limbs) == 17
        np.testing.assert_allclose(one.limbs, other.limbs)


def test_patches_keep_their_size_unless_they_are_as_large_as_the_faces():
    hint = make_hint(512, 384)
    face = round(2.1 * 0.036 * 0.88 * 384)  # pixels wide at the first size
    for face_sized, side in ((False, 32), (True, 2 * face)):
        made = resize_hint(hint, PATCHES, 1024, 768, face_sized)
        (rows, columns) = np.nonzero((made.image - made.base)[0, 0, :, :512].numpy())
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (side, side)


def test_the_same_size_is_the_same_hint():
    hint = make_hint(256, 192)._replace(phrases=("a hat", ""))
    same = resize_hint(hint, PATCHES, 256, 192)
    assert (same.names, same.phrases) == (NAMES, ("a hat", ""))
    assert torch.equal(same.image, hint.image)
    assert torch.equal(same.base, hint.base)
    assert same.points == hint.points


def test_another_base_is_enlarged():
    hint = make_hint(256, 192, posed=False)
    hint = hint._replace(base=torch.full_like(hint.base, 0.25))
    made = resize_hint(hint, PATCHES, 512, 384)
    torch.testing.assert_close(made.base, torch.full((1, 3, 384, 512), 0.25))
    assert made.poses is None


def test_people_without_a_placement_and_divided_patches():
    hint = make_hint(256, 192)._replace(points=(Point(64.0, 90.0), None), figures=())
    made = resize_hint(hint, PATCHES, 512, 384)
    assert made.points == (Point(128.0, 180.0), None)
    close = hint._replace(points=(Point(64.0, 90.0), Point(66.0, 90.0)))
    summed, divided = (resize_hint(close, PATCHES, 512, 384, False, o) for o in ("sum", SOFT))
    assert not torch.equal(summed.image, divided.image)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((512, 512), r"^id_hint: it is 256x192, which has a different aspect ratio"),
        ((500, 375), r"^width: 500 is not a multiple of 8"),
    ],
)
def test_sizes_that_do_not_fit(size, message):
    with pytest.raises(ValueError, match=message):
        resize_hint(make_hint(256, 192), PATCHES, *size)
