"""Chooses the images that samples are taken for, always the same ones, in bounded batches."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from .config import DropConfig
from .data import Batch, Examples, collate, group_images
from .prepared_data import ImageRecord, PreparedData

BATCH_SIZE = 16
BATCH_PIXELS = 4 * 1024**2  # of all images of a batch


def choose_images(images: Sequence[ImageRecord], count: int) -> list[int]:
    """Return the indices of `count` images, spread over the numbers of people and the folder."""
    by_people: dict[int, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        by_people[image.people].append(index)
    quota = dict.fromkeys(sorted(by_people), 0)
    while sum(quota.values()) < min(count, len(images)):
        for people, indices in by_people.items():
            if quota[people] < len(indices) and sum(quota.values()) < count:
                quota[people] += 1
    return sorted(
        indices[i * len(indices) // quota[people]]
        for people, indices in by_people.items()
        for i in range(quota[people])
    )


def split_batches(
    images: Sequence[ImageRecord], indices: Sequence[int], batch_size: int = BATCH_SIZE
) -> list[list[int]]:
    """Return the indices in batches of images of one size and number of people."""
    batches = []
    for (width, height, _), positions in sorted(group_images([images[i] for i in indices]).items()):
        bucket = [indices[position] for position in positions]
        size = max(min(batch_size, BATCH_PIXELS // (width * height)), 1)
        batches += [bucket[i : i + size] for i in range(0, len(bucket), size)]
    return batches


def evaluation_batches(
    data: PreparedData, count: int, batch_size: int, drop: DropConfig, seed: int = 0
) -> Iterator[Batch]:
    """Yield `count` images, spread over all numbers of people, always the same ones."""
    examples = Examples(data, drop, seed)
    for batch in split_batches(data.images, choose_images(data.images, count), batch_size):
        yield collate([examples[index, index] for index in batch])
