"""Holds people out of the training for the evaluation: no one in it is trained on."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

MAX_LEFT_OUT = 0.1  # share of the images that may be lost to both sets
ENOUGH = 0.9  # share of the evaluation images for which no image is lost


class People(NamedTuple):
    """The people of an image, by the image's name."""

    image: str
    names: frozenset[str]


def choose_people(images: Sequence[People], count: int) -> set[str]:
    """Return people of whom about `count` images show no one else; always the same ones.

    Whole groups of people who appear with one another come first, which loses no image. If those
    are too few, further people are chosen image by image, while no more than MAX_LEFT_OUT of all
    images show people of both sets. People with several photos come before others. There may be
    fewer images than asked for.
    """
    photos = _images_by_person(images)
    tally = _Tally(images, photos)
    for group in sorted(find_groups(images), key=lambda g: _order(photos, min(g), g)):
        size = len(set().union(*(photos[name] for name in group)))
        if tally.inside + size <= count and tally.inside + size < len(images):
            tally.add(group)
    for image in sorted(images, key=lambda i: _order(photos, i.image, i.names)):
        if tally.inside >= ENOUGH * count:
            break
        inside, mixed = tally.count_with(image.names)
        if mixed <= MAX_LEFT_OUT * len(images) and inside + mixed < len(images):
            tally.add(image.names)
    return tally.chosen


class _Tally:
    """How many images show only people held out (`inside`), and how many others as well."""

    def __init__(self, images: Sequence[People], photos: dict[str, set[int]]):
        self._images, self._photos = images, photos
        self._held_out = [0] * len(images)  # people of each image
        self.chosen: set[str] = set()
        self.inside = self.mixed = 0

    def count_with(self, names: Iterable[str]) -> tuple[int, int]:
        """Return `inside` and `mixed` as they would be with more people held out."""
        inside, mixed = self.inside, self.mixed
        for index, more in self._shown(names).items():
            before, all_people = self._held_out[index], len(self._images[index].names)
            mixed += (before + more < all_people) - (before > 0)
            inside += before + more == all_people
        return inside, mixed

    def add(self, names: Iterable[str]) -> None:
        names = set(names)
        self.inside, self.mixed = self.count_with(names)
        for index, more in self._shown(names).items():
            self._held_out[index] += more
        self.chosen |= names

    def _shown(self, names: Iterable[str]) -> Counter[int]:
        """Return how many of the people who are not held out yet each image shows."""
        new = (name for name in names if name not in self.chosen)
        return Counter(index for name in new for index in self._photos[name])


def find_groups(images: Sequence[People]) -> Iterator[set[str]]:
    """Yield the groups of people who are linked by images: each person is in one."""
    photos = _images_by_person(images)
    remaining = set(photos)
    for first in photos:
        if first not in remaining:
            continue
        group, new = set(), {first}
        while new:
            group |= new
            shown = set().union(*(photos[name] for name in new))
            new = set().union(*(images[index].names for index in shown)) - group
        remaining -= group
        yield group


def _images_by_person(images: Sequence[People]) -> dict[str, set[int]]:
    photos: dict[str, set[int]] = defaultdict(set)
    for index, image in enumerate(images):
        for name in image.names:
            photos[name].add(index)
    return dict(photos)


def _order(
    photos: dict[str, set[int]], key: str, names: frozenset[str] | set[str]
) -> tuple[bool, str]:
    """Return the sorting key of a group or image: at random, those with several photos first."""
    single = any(len(photos[name]) < 2 for name in names)
    return single, hashlib.sha256(key.encode()).hexdigest()
