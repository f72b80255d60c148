"""The images that samples are taken for: how many, which, and in which batches."""

from collections import Counter
from pathlib import Path

import pytest

from idpatch_core.training.evaluation_images import choose_images, split_batches
from idpatch_core.training.prepared_data import ImageRecord


def make_images(counts: dict[int, int], sizes: int = 1) -> list[ImageRecord]:
    return [
        ImageRecord(Path(), 64 * (1 + n % sizes), 64, people, 0)
        for people, count in counts.items()
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (16, {1: 6, 2: 6, 5: 4}),  # five people: there are only four images
        (3, {1: 1, 2: 1, 5: 1}),
        (2, {1: 1, 2: 1}),
        (999, {1: 40, 2: 30, 5: 4}),
    ],
)
def test_as_many_images_as_asked_for_whatever_their_sizes(count: int, expected: dict[int, int]):
    images = make_images({1: 40, 2: 30, 5: 4}, sizes=9)
    chosen = choose_images(images, count)
    assert len(set(chosen)) == len(chosen)
    assert Counter(images[index].people for index in chosen) == expected


def test_they_are_spread_over_the_folder():
    assert choose_images(make_images({2: 100}), 4) == [0, 25, 50, 75]


def test_batches_have_one_size_and_few_pixels():
    images = [ImageRecord(Path(), *size, 2, 0) for size in [(1024, 1024)] * 6 + [(64, 64)] * 20]
    batches = split_batches(images, list(range(26)))
    assert [len(batch) for batch in batches] == [16, 4, 4, 2]
    assert sorted(index for batch in batches for index in batch) == list(range(26))
    assert all(len({images[i].width for i in batch}) == 1 for batch in batches)
    huge = [ImageRecord(Path(), 4096, 4096, 1, 0)] * 2
    assert split_batches(huge, [0, 1]) == [[0], [1]]
