import torch
from PIL import ImageColor

from idpatch_core.layout import Point
from idpatch_core.preview import PERSON_COLOURS, draw_preview


def test_no_patch_leaves_the_base():
    base = torch.rand(1, 3, 100, 150)
    image = draw_preview(base, torch.zeros(1, 3, 64, 64), [None])
    assert image.shape == (1, 100, 150, 3)
    assert torch.allclose(image[0].permute(2, 0, 1), base[0], atol=0.5 / 255 + 1e-6)


def test_any_range_of_values_is_visible():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    for patch in (ramp * 12 - 6, ramp * 1e-3 + 40):
        image = draw_preview(torch.zeros(1, 3, 256, 256), patch, [Point(128, 128)])
        assert image[0, 150, 100].max() < 0.1
        assert image[0, 150, 156].min() > 0.7


def test_each_person_has_a_frame_and_a_number_in_their_colour():
    points = [Point(50, 100), Point(150, 100)]
    image = draw_preview(torch.zeros(1, 3, 200, 200), torch.zeros(2, 3, 64, 64), points)
    for index, point in enumerate(points):
        colour = torch.tensor(ImageColor.getrgb(PERSON_COLOURS[index])) / 255
        assert torch.allclose(image[0, 100, int(point.x) - 32], colour)  # left side of the frame
        above = image[0, 54:67, int(point.x) - 9 : int(point.x) + 9]
        assert (above - colour).abs().amax(dim=-1).lt(0.02).sum() > 30  # the badge round the digit


def test_a_person_outside_is_shown_at_the_edge_without_a_patch():
    image = draw_preview(torch.zeros(1, 3, 200, 200), torch.ones(1, 3, 64, 64), [Point(900, 100)])
    assert image[0, 91:109, 182:].max() > 0.3
    assert image[0, :, :180].max() == 0


def test_a_patch_is_cut_at_the_edge():
    image = draw_preview(torch.zeros(1, 3, 96, 96), torch.randn(1, 3, 64, 64), [Point(2, 95)])
    assert image[0, 70:, :20].max() > 0.3
    assert image[0, :, 60:].max() == 0
