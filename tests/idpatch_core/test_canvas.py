import pytest
import torch
from diffusers_reference import condition_image, random_case

from idpatch_core.canvas import (
    Hint,
    compose,
    face_side,
    find_patch_sides,
    resize_patch,
)
from idpatch_core.layout import Head, Point


def filled(value: float, size: int = 64) -> torch.Tensor:
    return torch.full((1, 3, size, size), value)


def test_patch_is_centred_on_its_point():
    image = compose(torch.zeros(1, 3, 128, 160), filled(1.0), [Point(100, 60)])
    ys, xs = torch.nonzero(image[0, 0], as_tuple=True)
    assert (xs.min(), xs.max()) == (68, 131)
    assert (ys.min(), ys.max()) == (28, 91)


def test_values_are_neither_clamped_nor_quantised():
    base = torch.full((1, 3, 64, 64), 0.3)
    patch = filled(-7.123456)
    torch.testing.assert_close(
        compose(base, patch, [Point(32, 32)]), base + patch, rtol=0, atol=1e-7
    )


def test_overlapping_patches_add_up():
    patches = torch.cat([filled(1.0), filled(2.0)])
    image = compose(torch.zeros(1, 3, 64, 128), patches, [Point(32, 32), Point(48, 32)])
    assert image[0, 0, 0, [15, 16, 63, 64, 79, 80]].tolist() == [1, 3, 3, 2, 2, 0]


def test_each_bit_is_that_of_one_sum_added_to_the_base():
    case = random_case(people=6, height=128, width=192, seed=4)
    points = [Point(*point) for point in case.points.tolist()]
    summed = torch.zeros(3, 128 + 64, 192 + 64)
    for patch, (x, y) in zip(case.patches, case.points.sub(32).round().int().tolist(), strict=True):
        summed[:, y + 32 : y + 96, x + 32 : x + 96] += patch
    expected = case.base + summed[:, 32:-32, 32:-32]
    before = case.base.clone()
    assert torch.equal(compose(case.base, case.patches, points), expected)
    assert torch.equal(case.base, before)


def test_patch_is_cut_at_the_edge():
    image = compose(torch.zeros(1, 3, 64, 64), filled(1.0), [Point(0, 0)])
    assert image[0, 0].sum() == 32 * 32


@pytest.mark.parametrize(
    ("x", "y"), [(-0.6, 30), (64.0, 30), (30, -1), (30, 63.6), (1e30, 0), (-1e30, 5)]
)
def test_person_outside_gets_no_patch(x: float, y: float):
    assert compose(torch.zeros(1, 3, 64, 64), filled(1.0), [Point(x, y)]).sum() == 0


@pytest.mark.parametrize(("x", "first"), [(-0.5, -32), (0.5, -32), (1.5, -30), (2.5, -30)])
def test_half_pixels_round_to_even(x: float, first: int):
    columns = compose(torch.zeros(1, 3, 64, 128), filled(1.0), [Point(x, 32)])[0, 0, 0]
    assert columns.sum() == 64 + first


def test_positions_near_1000_are_exact():
    # bfloat16 would know only every fourth pixel here.
    for x in (1001.0, 1002.0, 1003.0):
        image = compose(torch.zeros(1, 3, 64, 1100), filled(1.0), [Point(x, 32)])
        assert torch.nonzero(image[0, 0, 0]).min() == x - 32


def test_person_without_a_point_gets_no_patch():
    patches = torch.cat([filled(1.0), filled(2.0)])
    image = compose(torch.zeros(1, 3, 64, 64), patches, [None, Point(32, 32)])
    assert image.unique().tolist() == [2.0]


def test_swapping_two_people_swaps_their_patches_and_nothing_else():
    case = random_case(people=2, points=[[40.0, 50.0], [110.0, 90.0]], height=160, width=160)
    points = [Point(*p) for p in case.points.tolist()]
    a = compose(case.base, case.patches, points) - case.base
    b = compose(case.base, case.patches.flip(0), points) - case.base
    torch.testing.assert_close(a[..., 18:82, 8:72], b[..., 58:122, 78:142], rtol=0, atol=1e-6)
    torch.testing.assert_close(b[..., 18:82, 8:72], a[..., 58:122, 78:142], rtol=0, atol=1e-6)
    a[..., 18:82, 8:72], a[..., 58:122, 78:142] = 0, 0
    assert a.count_nonzero() == 0


@pytest.mark.parametrize("people", [1, 2, 5, 10])
def test_equals_the_reference(people: int):
    case = random_case(people=people, height=264, width=200, seed=people)
    case = case._replace(points=case.points * 1.4 - 40)
    got = compose(case.base, case.patches, [Point(*p) for p in case.points.tolist()])
    torch.testing.assert_close(got, condition_image(case), rtol=0, atol=1e-5)


def test_one_point_for_each_person():
    with pytest.raises(ValueError, match="1 points for 2 people"):
        compose(torch.zeros(1, 3, 64, 64), torch.zeros(2, 3, 64, 64), [Point(1, 1)])


@pytest.mark.parametrize(
    ("eye_distance", "side"), [(None, 64), (35.0, 74), (5.0, 32), (100.0, 210), (500.0, 256)]
)
def test_a_patch_is_as_large_as_the_face_within_limits(eye_distance: float | None, side: int):
    assert face_side(eye_distance, 64) == side


def test_a_resized_patch_keeps_its_values():
    patch = torch.randn(3, 64, 64)
    assert resize_patch(patch, 64) is patch
    smooth = torch.linspace(-3, 3, 64).expand(3, 64, 64)
    for side in (32, 100):
        resized = resize_patch(smooth, side)
        assert resized.shape == (3, side, side)
        assert resized.mean() == pytest.approx(0, abs=1e-5)
        assert resized.max() == pytest.approx(3, abs=0.15)


def test_patches_may_have_different_sizes():
    patches = [torch.ones(3, 32, 32), torch.ones(3, 100, 100)]
    image = compose(torch.zeros(1, 3, 128, 256), patches, [Point(40, 64), Point(180, 64)])
    assert image[0, 0, :, :100].sum() == 32**2
    assert image[0, 0, :, 100:].sum() == 100**2


def test_a_patch_is_as_large_as_the_face_at_its_point():
    heads = [Head(Point(100, 50), 1.0, 50.0), Head(Point(300, 50), 1.0)]
    points = [Point(120, 60), Point(300, 50), Point(200, 50), None]
    assert find_patch_sides(points, heads, 64) == [105, 64, 64, 64]


def test_a_hint_knows_its_people():
    image = torch.zeros(1, 3, 64, 64)
    hint = Hint(image, image, (None, None), ("Ann", "Bob"))
    assert hint.check_names(["Ann", "Bob"], "identities") == ""
    assert hint.check_names(["Bob", "Ann"], "identities") == (
        "id_hint: it was made for Ann, Bob, identities holds Bob, Ann."
    )
    with pytest.raises(ValueError, match=r"id_hint: it places 2 people, identities holds 1 person"):
        hint.check_names(["Ann"], "identities")
