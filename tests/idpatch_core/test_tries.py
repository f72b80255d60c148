"""Which try is best, and what is said of the tries."""

import pytest

from idpatch_core.tries import (
    Try,
    describe_images,
    describe_outcome,
    describe_tries,
    find_best_try,
    next_seed,
)
from idpatch_core.verification.faults import Fault

ANN, BOB = Fault(0, "Ann: no face", True), Fault(1, "Bob: 1 more elsewhere", False)
AGAIN = Fault(0, "Ann: 1 more elsewhere", False)


@pytest.mark.parametrize(
    ("tries", "best"),
    [
        ([((ANN, BOB), (0.5, 0.6)), ((BOB,), (0.1, 0.2))], 1),  # fewer people
        ([((ANN, AGAIN), (0.1, 0.2)), ((ANN, BOB), (0.5, 0.6))], 0),  # one person, twice wrong
        ([((ANN,), (-1.0, 0.6)), ((BOB,), (0.1, 0.2))], 1),  # the least similar person
        ([((ANN,), (0.1, 0.6)), ((BOB,), (0.1, 0.7))], 1),  # then the next
        ([((ANN,), (0.1, 0.6)), ((ANN,), (0.1, 0.6))], 0),  # the first
    ],
)
def test_the_best_try(tries, best):
    made = [Try(number, 0, (), *one) for number, one in enumerate(tries, 1)]
    assert find_best_try(made) == best


def test_the_report_of_an_image_that_is_right():
    tries = [
        Try(1, 7, (), (ANN, BOB), (-1.0, 0.6)),
        Try(1, 7, ("Ann",), (BOB,), (0.5, 0.6)),
        Try(2, 8, (), (), (0.7, 0.8)),
    ]
    assert describe_outcome(tries, 4) == "Each person is right after 2 images of at most 4."
    assert describe_tries(tries) == [
        "Image 1, seed 7: Ann: no face; Bob: 1 more elsewhere",
        "Image 1, seed 7, Ann refined: Bob: 1 more elsewhere",
        "Image 2, seed 8: right, the least similar person scores 0.700",
    ]
    assert describe_images([tries], 4).splitlines()[0] == describe_outcome(tries, 4)
    assert describe_images([tries, tries], 4).splitlines()[4].startswith("Output 2: Each person")


def test_the_report_of_an_image_that_is_not_right():
    tries = [Try(1, 7, ("Ann", "Bob"), (BOB,), (0.5,)), Try(2, 8, (), (ANN, BOB), (0.1,))]
    assert describe_outcome(tries, 2) == (
        "In none of 2 images is each person right. The best is kept: image 1, seed 7, "
        "Ann and Bob refined."
    )


def test_the_largest_seed_is_followed_by_the_smallest():
    assert next_seed(7) == 8
    assert next_seed(2**64 - 1) == 0
