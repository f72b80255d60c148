"""What is wrong with the people of an image."""

import numpy as np
import pytest

from idpatch_core.face_detector import Face
from idpatch_core.layout import Point
from idpatch_core.verification.assignment import make_assignment
from idpatch_core.verification.faults import Fault, find_faults
from idpatch_core.verification.verdict import Verdict

NAMES = ("Ann", "Bob")


def make_verdict(similarity, faces=(0, 1), placed=(True, True)) -> Verdict:
    """Return the findings on two people and the cosines (2, G) of G faces."""
    matrix = np.array(similarity, float)
    points = tuple(Point(50.0, 50.0) if there else None for there in placed)
    found = (Face((0, 0, 9, 9), np.zeros((5, 2), np.float32), 1.0),) * matrix.shape[1]
    assignment = make_assignment(matrix, faces, placed)
    return Verdict(NAMES, points, found, np.zeros((matrix.shape[1], 4)), assignment, "s", 0.35)


@pytest.mark.parametrize(
    ("similarity", "faces", "expected"),
    [
        ([[0.8, 0.1], [0.2, 0.7]], (0, 1), []),
        ([[0.8], [0.2]], (0, None), [Fault(1, "Bob: no face", True)]),
        (
            [[0.1, 0.7], [0.8, 0.2]],
            (0, 1),
            [Fault(0, "Ann: resembles Bob", True), Fault(1, "Bob: resembles Ann", True)],
        ),
        (
            [[0.8, 0.1, 0.6], [0.2, 0.7, 0.1]],
            (0, 1),
            [Fault(0, "Ann: 1 more elsewhere", False)],
        ),
        ([[0.8, 0.1, 0.3], [0.2, 0.7, 0.1]], (0, 1), []),  # a stranger, below the threshold
        ([[0.5, 0.1], [0.5, 0.7]], (0, 1), [Fault(0, "Ann: ambiguous face", True)]),
    ],
    ids=["right", "missing", "swapped", "doubled", "stranger", "ambiguous"],
)
def test_faults(similarity, faces, expected):
    assert find_faults(make_verdict(similarity, faces)) == expected


def test_who_scores_too_little():
    verdict = make_verdict([[0.8, 0.1], [0.2, 0.4]])
    assert find_faults(verdict, 0.4) == []
    expected = [Fault(1, "Bob: similarity 0.400, below 0.5", True)]
    assert find_faults(verdict, 0.5) == expected


def test_who_has_no_placement_is_left_out():
    verdict = make_verdict([[0.8], [0.2]], (0, None), (True, False))
    assert find_faults(verdict, 0.5) == []
