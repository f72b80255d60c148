import math

import pytest
import torch

from idpatch_core.layout import Figure, Point
from idpatch_core.regions import attention_bias, distances

WIDTH, HEIGHT = 96, 64


def owners(*figures, rows=64, columns=96):
    """Return which person each cell of the image belongs to."""
    return distances(figures, rows, columns, WIDTH, HEIGHT).argmin(dim=0)


def test_the_image_is_divided_between_people_side_by_side():
    owner = owners(Figure(Point(24, 20), 8), Figure(Point(72, 20), 8))
    assert (owner[:, :48] == 0).all()
    assert (owner[:, 48:] == 1).all()


def test_a_distance_is_in_head_radii():
    distance = distances([Figure(Point(24.5, 20.5), 8)], 64, 96, WIDTH, HEIGHT)[0]
    assert distance[20, 24] == -1  # at the nose
    assert distance[20, 32] == pytest.approx(0)  # at the edge of the head
    assert distance[4, 24] == pytest.approx(1)
    assert distance[60, 40] == pytest.approx(16 / 8 + 0.5)  # beside the body, which ranks below


def test_someone_in_a_second_row_keeps_the_face_and_the_front_row_its_bodies():
    behind, front = Figure(Point(48, 12), 8), Figure(Point(48, 40), 8)
    owner = owners(behind, front)
    assert owner[12, 48] == 0 and owner[24, 48] == 0
    assert owner[40, 48] == 1 and owner[60, 48] == 1


def test_a_head_in_front_of_another_body_is_its_own_region():
    limbs = ((Point(10, 40), Point(90, 40)),)  # lying across the image
    owner = owners(Figure(Point(10, 40), 6, limbs), Figure(Point(50, 40), 6))
    assert owner[40, 50] == 1
    assert owner[40, 25] == 0


def test_limbs_take_the_place_of_an_upright_body():
    leaning = ((Point(20, 20), Point(80, 60)),)
    owner = owners(Figure(Point(20, 20), 6, leaning), Figure(Point(60, 10), 6))
    assert owner[59, 79] == 0
    assert owners(Figure(Point(20, 20), 6), Figure(Point(60, 10), 6))[59, 79] == 1


def test_overlapping_heads_are_divided_at_the_same_share_of_their_radii():
    owner = owners(Figure(Point(40, 30), 8), Figure(Point(52, 30), 16))
    assert owner[30, 43] == 0
    assert owner[30, 45] == 1  # 44 is a third of the way


def test_every_size_of_grid_covers_the_same_image():
    figures = [Figure(Point(24, 20), 8), Figure(Point(72, 40), 8)]
    fine = distances(figures, 64, 96, WIDTH, HEIGHT)
    coarse = distances(figures, 8, 12, WIDTH, HEIGHT)
    middles = (fine[:, 3::8, 3::8] + fine[:, 4::8, 4::8]) / 2
    torch.testing.assert_close(coarse, middles, atol=0.08, rtol=0)


def test_an_area_is_a_part_of_the_image():
    figures = [Figure(Point(24, 20), 8), Figure(Point(72, 40), 8)]
    whole = distances(figures, 64, 96, WIDTH, HEIGHT)
    part = distances(figures, 32, 48, WIDTH, HEIGHT, area=(48, 32, 48, 32))
    torch.testing.assert_close(part, whole[:, 32:, 48:])


def test_the_bias_is_0_inside_and_the_logarithm_outside():
    figures = [Figure(Point(24, 20), 8), Figure(Point(72, 20), 8), None]
    distance = distances(figures, 64, 96, WIDTH, HEIGHT)
    bias = attention_bias(distance, 0.1)
    assert bias.min() == pytest.approx(math.log(0.1)) and bias.max() == 0
    assert bias[0, 20, 10] == 0 and bias[0, 20, 90] == pytest.approx(math.log(0.1))
    assert (bias[:2].amax(dim=0) == 0).all()  # each cell belongs to someone
    assert (bias[2] == bias[2, 0, 0]).all() and bias[2, 0, 0] == pytest.approx(math.log(0.1))
    border = bias[0, 20, 40:56]
    assert (border.diff() <= 0).all() and ((border < 0) & (border > math.log(0.1))).any()


def test_outside_0_hides_the_tokens_of_people_elsewhere_and_off_the_canvas():
    distance = distances([Figure(Point(24, 20), 8), Figure(Point(72, 20), 8)], 8, 12, 96, 64)
    assert attention_bias(distance, 0.0)[0, 2, 11] < -20
    empty = attention_bias(distances([None, None], 8, 12, WIDTH, HEIGHT), 0.0)
    assert (empty == -math.inf).all()
