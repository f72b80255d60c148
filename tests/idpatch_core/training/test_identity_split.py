"""People held out for the evaluation are on no image that is trained on."""

import random
from itertools import pairwise

import pytest

from idpatch_core.training.identity_split import (
    MAX_LEFT_OUT,
    People,
    choose_people,
    find_groups,
)


def make_images(*people: str) -> list[People]:
    """One letter is a person; an image for each text."""
    return [People(f"{i}.jpg", frozenset(names)) for i, names in enumerate(people)]


def count(images: list[People], held_out: set[str]) -> tuple[int, int]:
    """Images of people held out alone, and of people of both sets."""
    inside = [image for image in images if image.names <= held_out]
    mixed = [image for image in images if image.names & held_out and image not in inside]
    return len(inside), len(mixed)


def test_people_are_grouped_by_the_images_they_share():
    groups = list(find_groups(make_images("ab", "bc", "d", "e", "de", "f")))
    assert sorted(map(sorted, groups)) == [["a", "b", "c"], ["d", "e"], ["f"]]


def test_whole_groups_are_held_out_and_no_image_is_lost():
    images = make_images(*["ab", "a", "b", "cd", "c", "cd", "ef", "f", "e", "gh", "g", "h"] * 3)
    held_out = choose_people(images, 10)
    assert count(images, held_out) == (9, 0)
    assert choose_people(list(images), 10) == held_out


def test_people_with_several_photos_come_first():
    images = make_images(*"abcdefgh", "x", "x", "y", "y", "z", "z")
    assert choose_people(images, 4) < {"x", "y", "z"}


@pytest.mark.parametrize("seed", range(5))
def test_where_everyone_is_linked_few_images_are_lost(seed: int):
    draw = random.Random(seed)
    names = [f"p{i}" for i in range(400)]
    linked = [frozenset(pair) for pair in pairwise(names)]
    others = [frozenset(draw.sample(names, 1)) for _ in range(1500)]
    images = [People(f"{i}", people) for i, people in enumerate([*linked, *others])]
    held_out = choose_people(images, 60)
    inside, mixed = count(images, held_out)
    assert 54 <= inside <= 75
    assert 0 < mixed <= MAX_LEFT_OUT * len(images)


def test_something_is_left_to_train_on():
    for images in (make_images("ab", "bc", "ca"), make_images("a"), make_images("a", "b")):
        inside, mixed = count(images, choose_people(images, 100))
        assert inside + mixed < len(images)
