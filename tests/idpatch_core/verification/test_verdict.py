"""Group images composed from photos of real people, scored by an independent network."""

import numpy as np
import pytest
from verified import DETECT, FOUR, REFERENCES, SCORER, verify_group

from idpatch_core.layout import Point
from idpatch_core.verification import metrics
from idpatch_core.verification.verdict import verdict_to_json, verdict_to_text, verify_image


def test_right_placement_scores_everything():
    _, verdict = verify_group(FOUR)
    assert verdict.all_correct
    assert metrics.association_accuracy(verdict.assignment) == (4, 4)
    assert metrics.coverage(verdict.assignment, verdict.threshold) == (4, 4)
    assert metrics.count_accuracy(verdict.assignment).value == 1
    assert min(verdict.scores) > verdict.threshold


def test_a_swap_scores_exactly_the_two_as_wrong_but_not_in_hungarian_similarity():
    a, b, c, d = FOUR
    _, right = verify_group(FOUR)
    _, swapped = verify_group([a, c, b, d])
    assert metrics.correctness(swapped.assignment) == [True, False, False, True]
    assert metrics.find_swaps(swapped.assignment) == [(1, 2)]
    assert metrics.hungarian_similarity(swapped.assignment).value == pytest.approx(
        metrics.hungarian_similarity(right.assignment).value, abs=0.02
    )
    assert metrics.face_similarity(swapped.assignment).value < 0.6 * (
        metrics.face_similarity(right.assignment).value
    )
    assert not swapped.all_correct


def test_a_removed_person_is_a_failure():
    a, b, _, d = FOUR
    _, verdict = verify_group([a, b, None, d])
    assert metrics.correctness(verdict.assignment) == [True, True, False, True]
    assert verdict.assignment.face_indices[2] is None
    assert metrics.association_accuracy(verdict.assignment).value == 0.75
    assert verdict.scores[0] == -1
    assert verdict_to_json(verdict)["people"][2]["verdict"] == "no face"


def test_a_person_twice_is_wrong_and_counted():
    a, _, c, d = FOUR
    _, verdict = verify_group([a, a, c, d])
    assert metrics.correctness(verdict.assignment) == [True, False, True, True]
    assert metrics.count_duplicates(verdict.assignment, verdict.threshold) == [1, 0, 0, 0]


def test_a_bystander_is_counted_and_changes_nothing_else():
    _, verdict = verify_group(FOUR[:3], FOUR[:3], extra=FOUR[3:])
    assert verdict.all_correct
    assert len(verdict.faces) == 4
    assert metrics.count_accuracy(verdict.assignment).value == 0


def test_an_even_mix_of_two_people_is_neither(monkeypatch):
    a, b = FOUR[:2]
    group, _ = verify_group([a, b], [a, b])
    mixed = (REFERENCES[a] + REFERENCES[b])[None]
    mixed /= np.linalg.norm(mixed)
    blended = SCORER._replace(embed=lambda crops: np.repeat(mixed, len(crops), 0))
    references = np.stack([REFERENCES[a], REFERENCES[b]])
    verdict = verify_image(group.image, [a, b], references, group.points, DETECT, blended)
    assert metrics.correctness(verdict.assignment) == [False, False]
    assert metrics.blend(verdict.assignment).value == pytest.approx(
        metrics.face_similarity(verdict.assignment).value, abs=1e-6
    )
    assert {person["verdict"] for person in verdict_to_json(verdict)["people"]} == {
        "ambiguous face"
    }


def test_an_image_without_faces():
    image = np.zeros((64, 64, 3), np.uint8)
    references = np.stack([REFERENCES[name] for name in FOUR])
    verdict = verify_image(image, FOUR, references, [Point(9, 9)] * 4, DETECT, SCORER)
    assert metrics.association_accuracy(verdict.assignment) == (0, 4)
    assert verdict.scores == (-1, -1, -1, -1)


def test_a_point_outside_the_image_is_no_placement():
    group, _ = verify_group(FOUR)
    references = np.stack([REFERENCES[name] for name in FOUR])
    points = [*group.points[:3], Point(-5, 10)]
    verdict = verify_image(group.image, FOUR, references, points, DETECT, SCORER)
    assert metrics.association_accuracy(verdict.assignment) == (3, 3)
    assert verdict_to_json(verdict)["people"][3]["verdict"] == "no placement"


def test_the_report_names_the_scorer_and_each_person():
    a, b, c, d = FOUR
    _, verdict = verify_group([b, a, c, None])
    text = verdict_to_text(verdict, "Image 3")
    assert text.splitlines()[0] == "Image 3: 1 of 4 people at their placement"
    assert f"✗ {a}" in text
    assert f"resembles {b}" in text
    assert f"✓ {c}" in text
    assert f"✗ {d}  no face" in text
    assert f"Swapped: {a}, {b}" in text
    assert verdict_to_json(verdict)["scorer"] == "fr_feature"
