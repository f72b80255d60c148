import numpy as np
import pytest
import torch
import torch.nn.functional as F

from idpatch_core.pose_fit import Base, fit_pose
from idpatch_core.pose_reader import Frame
from idpatch_core.poses import make_standing
from idpatch_core.skeleton import draw_openpose


def base_of(people: np.ndarray, width: int, height: int, side: int = 1024) -> Base:
    """The drawing of people in an image of this size, resized to the output."""
    drawn = torch.from_numpy(draw_openpose(people, width, height)).permute(2, 0, 1)[None] / 255
    image = F.interpolate(drawn, (round(side * height / width), side), mode="bicubic")
    return Base(image.clamp(0, 1), (width, height))


def test_a_pose_that_fits_its_drawing_is_scaled_from_the_canvas():
    people = make_standing(3, 960, 960)
    fitted, warnings = fit_pose(Frame(people, 960, 960), 1024, 1024, base_of(people, 960, 960))
    assert (fitted == people * [1024 / 960, 1024 / 960, 1]).all()
    assert warnings == []


def test_pixels_of_a_photo_with_the_canvas_of_the_padded_one():
    people = make_standing(3, 900, 900)
    fitted, (warning,) = fit_pose(Frame(people, 960, 960), 1024, 1024, base_of(people, 900, 900))
    assert fitted[:, 0, 0] == pytest.approx([171, 512, 853], abs=1)
    assert "its canvas is 960x960" in warning and "scaled as for 900x900" in warning


def test_shares_of_the_padded_photo_with_the_canvas_of_the_photo():
    people = make_standing(3, 900, 900)
    shares = people / [960, 960, 1]
    frame = Frame(shares * [900, 900, 1], 900, 900)
    fitted, (warning,) = fit_pose(frame, 1024, 1024, base_of(people, 900, 900))
    assert fitted[:, 0, 0] == pytest.approx([171, 512, 853], abs=1)
    assert "padded to multiples of 64" in warning


def test_a_padded_canvas_of_another_shape_is_that_of_the_photo():
    people = make_standing(2, 700, 900)
    frame = Frame(people, 704, 960)
    fitted, _ = fit_pose(frame, 896, 1152, Base(torch.zeros(1, 3, 1152, 896), (700, 900)))
    assert fitted[0, 0, 0] == pytest.approx(people[0, 0, 0] * 896 / 700)
    wide = Frame(make_standing(2, 1000, 600), 1024, 640)
    fitted, (warning,) = fit_pose(wide, 1000, 600, None)
    assert (fitted == wide.people).all()
    assert "canvas is 1024x640" in warning


def test_a_drawing_of_another_pose_is_noticed():
    other = base_of(make_standing(2, 512, 512), 512, 512)
    people = make_standing(3, 512, 512)
    fitted, (warning,) = fit_pose(Frame(people, 512, 512), 1024, 1024, other)
    assert (fitted == people * [2, 2, 1]).all()
    assert "of its joints lie on the poses of base_image" in warning


def test_a_photo_as_base_image_is_no_drawing():
    photo = Base(torch.full((1, 3, 512, 512), 0.5), (512, 512))
    people = make_standing(3, 512, 512)
    assert fit_pose(Frame(people, 512, 512), 512, 512, photo)[1] == []


def test_a_canvas_of_one_pixel_s_height_is_refused():
    low = Frame(make_standing(1, 129, 1), 129, 1)
    with pytest.raises(ValueError, match="pose_keypoint: it is 129x1"):
        fit_pose(low, 128, 96, None)


def test_another_aspect_ratio_is_refused():
    with pytest.raises(ValueError, match="pose_keypoint: it is 512x512"):
        fit_pose(Frame(make_standing(1, 512, 512), 512, 512), 512, 256, None)
