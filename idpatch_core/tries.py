"""Tries at an image in which each person is right: which one is best, and the report."""

from collections.abc import Sequence
from typing import NamedTuple

from .layout import count_of
from .verification.faults import Fault

SEEDS = 2**64  # of ComfyUI's noise


class Try(NamedTuple):
    """The check of an image, as it was sampled or after people in it were refined.

    `number` counts the sampled images from 1; `refined` are the names of the people who were
    refined in it, none in an image as it was sampled; `scores` are those of the verdict.
    """

    number: int
    seed: int
    refined: tuple[str, ...]
    faults: tuple[Fault, ...]
    scores: tuple[float, ...]


def next_seed(seed: int) -> int:
    """Return the seed of the next image, which is one larger."""
    return (seed + 1) % SEEDS


def find_best_try(tries: Sequence[Try]) -> int:
    """Return the index of the try with the fewest wrong people, then with the highest scores.

    Of equal ones the first.
    """

    def rank(index: int) -> tuple[int, tuple[float, ...]]:
        wrong = {fault.person for fault in tries[index].faults}
        return -len(wrong), tries[index].scores

    return max(range(len(tries)), key=rank)


def describe_outcome(tries: Sequence[Try], limit: int) -> str:
    """Return in a sentence whether an image with each person right was made."""
    best = tries[find_best_try(tries)]
    made = count_of(tries[-1].number, "image")
    if not best.faults:
        return f"Each person is right after {made} of at most {limit}."
    return (
        f"In none of {made} is each person right. The best is kept: image {best.number}, "
        f"seed {best.seed}{_describe_refined(best)}."
    )


def describe_tries(tries: Sequence[Try]) -> list[str]:
    """Return a line on each try: its seed, who was refined, and what was found."""
    return [
        f"Image {one.number}, seed {one.seed}{_describe_refined(one)}: {_describe_findings(one)}"
        for one in tries
    ]


def describe_images(images: Sequence[Sequence[Try]], limit: int) -> str:
    """Return what happened to each image as lines of text."""
    lines = []
    for number, tries in enumerate(images, 1):
        title = f"Output {number}: " if len(images) > 1 else ""
        lines.append(title + describe_outcome(tries, limit))
        lines += [f"  {line}" for line in describe_tries(tries)]
    return "\n".join(lines)


def _describe_refined(one: Try) -> str:
    return f", {' and '.join(one.refined)} refined" if one.refined else ""


def _describe_findings(one: Try) -> str:
    if one.faults:
        return "; ".join(fault.words for fault in one.faults)
    return f"right, the least similar person scores {min(one.scores):.3f}"
