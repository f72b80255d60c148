import itertools
import math

import numpy as np
import pytest

from idpatch_core.verification import metrics
from idpatch_core.verification.assignment import cosine, make_assignment
from idpatch_core.verification.tally import Tally

# Three people along the axes, each face with a little of another person.
REFERENCES = np.eye(3)
ADA, BEN, CAN = [0.8, 0.6, 0.0], [0.0, 0.8, 0.6], [0.6, 0.0, 0.8]


def put(*faces, at=None):
    """Return an assignment of these face embeddings; `at` is the face index of each person."""
    at = range(3) if at is None else at
    return make_assignment(cosine(REFERENCES, np.array(faces)), tuple(at))


def value(tally):
    return tally.value


def test_perfect():
    assignment = put(ADA, BEN, CAN)
    assert metrics.nearest_people(assignment) == [0, 1, 2]
    assert metrics.correctness(assignment) == [True, True, True]
    assert metrics.association_accuracy(assignment) == Tally(3, 3)
    assert metrics.face_similarity(assignment).value == pytest.approx(0.8)
    assert metrics.hungarian_similarity(assignment).value == pytest.approx(0.8)
    assert metrics.blend(assignment).value == pytest.approx(0.3)  # (0.6 + 0) / 2
    assert metrics.find_swaps(assignment) == []
    assert metrics.count_duplicates(assignment) == [0, 0, 0]
    assert metrics.coverage(assignment) == Tally(3, 3)
    assert metrics.count_accuracy(assignment) == Tally(1, 1)
    assert metrics.leakage_rate(assignment) == Tally(0, 3)


def test_two_swapped_are_exactly_the_two_wrong_but_not_in_hungarian_similarity():
    assignment = put(BEN, ADA, CAN)
    assert metrics.correctness(assignment) == [False, False, True]
    assert metrics.find_swaps(assignment) == [(0, 1)]
    assert metrics.swap_rate(assignment) == Tally(2, 3)
    assert metrics.association_accuracy(assignment).value == pytest.approx(1 / 3)
    assert metrics.face_similarity(assignment).value == pytest.approx((0 + 0.6 + 0.8) / 3)
    assert metrics.hungarian_similarity(assignment) == metrics.hungarian_similarity(
        put(ADA, BEN, CAN)
    )
    assert metrics.leakage_rate(assignment) == Tally(2, 3)
    assert metrics.coverage(assignment) == Tally(3, 3)


def test_a_rotation_is_one_group_of_three():
    assignment = put(BEN, CAN, ADA)
    assert metrics.association_accuracy(assignment) == Tally(0, 3)
    assert metrics.find_swaps(assignment) == [(0, 1, 2)]


def test_a_chain_that_ends_elsewhere_is_no_swap():
    assignment = put(BEN, BEN, CAN)  # Ben appears at Ada's placement and at his own
    assert metrics.find_swaps(assignment) == []
    assert metrics.correctness(assignment) == [False, True, True]


def test_one_missing_is_a_failure():
    assignment = put(ADA, CAN, at=(0, None, 1))
    assert metrics.nearest_people(assignment) == [0, None, 2]
    assert metrics.association_accuracy(assignment) == Tally(2, 3)
    assert metrics.face_similarity(assignment).value == pytest.approx(1.6 / 3)
    assert metrics.detected_similarity(assignment).value == pytest.approx(0.8)
    assert metrics.hungarian_similarity(assignment).value == pytest.approx(1.6 / 3)
    assert metrics.coverage(assignment) == Tally(2, 3)
    assert metrics.count_accuracy(assignment) == Tally(0, 1)
    assert metrics.leakage_rate(assignment) == Tally(0, 2)


def test_one_duplicate():
    assignment = put(ADA, ADA, CAN)
    assert metrics.correctness(assignment) == [True, False, True]
    assert metrics.count_duplicates(assignment) == [1, 0, 0]
    assert metrics.duplicate_rate(assignment) == Tally(1, 3)


def test_a_duplicate_below_the_threshold_is_a_stranger():
    faint = [0.3, 0.0, 0.0, math.sqrt(1 - 0.09)]
    references = np.eye(4)[:3]
    assignment = make_assignment(cosine(references, [[1, 0, 0, 0], faint]), (0, None, None))
    assert metrics.count_duplicates(assignment, threshold=0.31) == [0, 0, 0]
    assert metrics.count_duplicates(assignment, threshold=0.29) == [1, 0, 0]


def test_an_even_blend_resembles_no_one():
    both = [math.sqrt(0.5), math.sqrt(0.5), 0.0]
    assignment = put(both, both, CAN)
    assert metrics.nearest_people(assignment) == [None, None, 2]
    assert metrics.correctness(assignment) == [False, False, True]
    assert metrics.blend(assignment).value == pytest.approx((2 * math.sqrt(0.5) / 2 + 0.3) / 3)
    assert metrics.find_swaps(assignment) == []


def test_coverage_gives_one_face_to_one_person_only():
    assignment = put([math.sqrt(0.5), math.sqrt(0.5), 0.0], at=(0, None, None))
    assert metrics.coverage(assignment) == Tally(1, 3)


def test_more_faces_than_people():
    stranger = [-1.0, 0.0, 0.0]
    assignment = put(stranger, ADA, BEN, CAN, stranger, at=(1, 2, 3))
    assert metrics.association_accuracy(assignment) == Tally(3, 3)
    assert metrics.count_accuracy(assignment) == Tally(0, 1)
    assert metrics.hungarian_similarity(assignment).value == pytest.approx(0.8)
    assert metrics.count_duplicates(assignment) == [0, 0, 0]


def test_no_face_found():
    assignment = make_assignment(np.zeros((3, 0)), (None, None, None))
    assert metrics.association_accuracy(assignment) == Tally(0, 3)
    assert metrics.face_similarity(assignment) == Tally(0, 3)
    assert metrics.hungarian_similarity(assignment) == Tally(0, 3)
    assert metrics.coverage(assignment) == Tally(0, 3)
    assert math.isnan(metrics.detected_similarity(assignment).value)
    assert math.isnan(metrics.blend(assignment).value)
    assert math.isnan(metrics.leakage_rate(assignment).value)
    assert metrics.count_accuracy(assignment) == Tally(0, 1)


def test_no_people_asked_for():
    assignment = make_assignment(np.zeros((0, 2)), ())
    assert all(
        math.isnan(t.value)
        for n, t in metrics.compute_tallies(assignment).items()
        if n != "count_accuracy"
    )
    assert metrics.count_accuracy(assignment) == Tally(0, 1)


def test_one_person_cannot_blend_or_leak():
    assignment = make_assignment([[0.9]], (0,))
    assert metrics.association_accuracy(assignment) == Tally(1, 1)
    assert metrics.chance_level(assignment).value == 1
    assert metrics.blend(assignment).count == metrics.leakage_rate(assignment).count == 0


def test_a_person_without_a_placement_is_not_scored_but_can_be_resembled():
    similarity = cosine(REFERENCES, [CAN, BEN])
    assignment = make_assignment(similarity, (0, 1, None), placed=(True, True, False))
    assert metrics.association_accuracy(assignment) == Tally(1, 2)
    assert metrics.nearest_people(assignment) == [2, 1, None]
    assert metrics.chance_level(assignment).value == pytest.approx(1 / 3)


def test_unknown_placements_leave_the_metrics_that_need_none():
    assignment = make_assignment(cosine(REFERENCES, [CAN, ADA, BEN]))
    found = {name for name, tally in metrics.compute_tallies(assignment).items() if tally.count}
    assert found == {"hungarian_similarity", "coverage", "count_accuracy", "duplicate_rate"}
    assert metrics.hungarian_similarity(assignment).value == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(20))
def test_against_independent_formulas(seed):
    rng = np.random.default_rng(seed)
    people, found = int(rng.integers(1, 6)), int(rng.integers(0, 7))
    similarity = rng.uniform(-1, 1, (people, found))
    order = [int(i) if i < found else None for i in rng.permutation(max(people, found))[:people]]
    assignment = make_assignment(similarity, order)
    rows = {
        i: [similarity[k][j] for k in range(people)] for i, j in enumerate(order) if j is not None
    }

    right = sum(max(range(people), key=row.__getitem__) == i for i, row in rows.items())
    assert metrics.association_accuracy(assignment) == Tally(right, people)
    assert value(metrics.face_similarity(assignment)) == pytest.approx(
        sum(row[i] for i, row in rows.items()) / people
    )
    if people > 1 and rows:
        off = [row[k] for i, row in rows.items() for k in range(people) if k != i]
        assert value(metrics.blend(assignment)) == pytest.approx(sum(off) / len(off))
        assert value(metrics.leakage_rate(assignment)) == pytest.approx(1 - right / len(rows))
    padded = np.pad(similarity, ((0, max(found - people, 0)), (0, max(people - found, 0))))
    best = max(
        sum(padded[i, j] for i, j in enumerate(order))
        for order in itertools.permutations(range(len(padded)))
    )
    assert value(metrics.hungarian_similarity(assignment)) == pytest.approx(best / people)


def unit(degrees):
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


@pytest.mark.parametrize(
    ("generated", "expected"),
    [(60, 1.0), (0, -1.0), (30, 0.0), (45, 0.5), (75, 1.0), (-30, -1.0)],
)
def test_copy_paste_on_a_circle(generated, expected):
    # Truth at 0 degrees, reference at 60: (|g| - |g - 60|) / 60.
    score = metrics.copy_paste(unit(generated), unit(0), unit(60))
    assert score == pytest.approx(expected, abs=1e-6)


def test_copy_paste_where_the_reference_is_the_truth():
    assert metrics.copy_paste(unit(30), unit(0), unit(0)) == 0.0
