import math

import pytest
import torch

from idpatch_core.canvas import compose
from idpatch_core.layout import Point
from idpatch_core.overlap import LARGER, NEARER, OVERLAPS, SOFT, SUM, divide_patches

BOXES = [(0, 0, 64), (30, 10, 64), (20, 40, 48), (-10, 30, 64), (150, 0, 64)]


def random_patches() -> list[tuple[torch.Tensor, tuple[int, int, int]]]:
    generator = torch.Generator().manual_seed(5)
    return [(torch.randn(3, box[2], box[2], generator=generator), box) for box in BOXES]


def find_shares(x: int, y: int, overlap: str) -> dict[int, float]:
    """Return the share of each patch that covers the pixel (x, y), from the definition."""
    here = {}
    for index, (left, top, side) in enumerate(BOXES):
        if left <= x < left + side and top <= y < top + side:
            middle = (left + (side - 1) / 2, top + (side - 1) / 2)
            here[index] = (side, math.dist((x, y), middle) / side)
    if overlap == SOFT:
        weights = {index: math.exp(-((d * 8) ** 2) / 2) for index, (_, d) in here.items()}
        return {index: weight / sum(weights.values()) for index, weight in weights.items()}
    order = {index: (-(side if overlap == LARGER else 0), d) for index, (side, d) in here.items()}
    return {index: float(index == min(order, key=lambda i: (order[i], i))) for index in here}


@pytest.mark.parametrize("overlap", [NEARER, LARGER, SOFT])
def test_each_pixel_is_divided_as_defined(overlap: str):
    placed = random_patches()
    divided = divide_patches(placed, overlap)
    for x in range(-10, 100, 3):
        for y in range(0, 100, 3):
            for index, share in find_shares(x, y, overlap).items():
                left, top, _ = BOXES[index]
                expected = placed[index][0][:, y - top, x - left] * share
                got = divided[index][0][:, y - top, x - left]
                torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_a_sum_leaves_the_patches_as_they_are():
    placed = random_patches()
    assert all(a is b for (a, _), (b, _) in zip(divide_patches(placed, SUM), placed, strict=True))


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_patches_apart_give_the_same_bits_in_each_way(overlap: str):
    patches = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    base = torch.rand(1, 3, 160, 200, generator=torch.Generator().manual_seed(2))
    points = [Point(32, 40), Point(96, 40), Point(60, 110)]
    assert torch.equal(compose(base, patches, points, overlap), compose(base, patches, points))


@pytest.mark.parametrize(("overlap", "values"), [(SUM, [1, 3, 3, 2]), (NEARER, [1, 1, 2, 2])])
def test_two_patches_side_by_side(overlap: str, values: list[float]):
    patches = torch.stack([torch.ones(3, 64, 64), torch.full((3, 64, 64), 2.0)])
    points = [Point(32, 32), Point(48, 32)]
    image = compose(torch.zeros(1, 3, 64, 96), patches, points, overlap)
    assert image[0, 0, 32, [10, 39, 40, 70]].tolist() == values


def test_the_larger_patch_covers_the_smaller_one():
    patches = [torch.ones(3, 32, 32), torch.full((3, 64, 64), 2.0)]
    image = compose(torch.zeros(1, 3, 64, 96), patches, [Point(40, 32), Point(32, 32)], LARGER)
    assert image[0, 0, 32, [40, 55, 63, 64]].tolist() == [2, 2, 2, 0]


def test_two_people_at_one_point():
    patches = torch.stack([torch.ones(3, 64, 64), torch.full((3, 64, 64), 3.0)])
    points = [Point(32, 32), Point(32, 32)]
    for overlap, value in ((NEARER, 1.0), (LARGER, 1.0), (SOFT, 2.0)):
        assert compose(torch.zeros(1, 3, 64, 64), patches, points, overlap).unique() == value
