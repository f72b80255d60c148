"""Group pictures composed from photographs of real people, scored by an independent network."""

import numpy as np
import pytest
from photos import compose, read_photos
from scorers import fetch_recogniser

from idpatch_core.face_detector import YuNet
from idpatch_core.layout import Point
from idpatch_core.verification import metrics
from idpatch_core.verification.annotate import GREEN, RED, annotate
from idpatch_core.verification.scorer import load_scorer
from idpatch_core.verification.verdict import embed_faces, to_json, to_text, verify

PHOTOS = read_photos()
NAMES = sorted({name.rsplit("_", 1)[0] for name in PHOTOS})
FOUR = NAMES[:4]
DETECT, SCORER = YuNet().detect, load_scorer(fetch_recogniser())


def reference(name):
    photograph = PHOTOS[f"{name}_1"]
    return embed_faces(photograph, DETECT(photograph)[:1], SCORER)[0]


REFERENCES = {name: reference(name) for name in NAMES}


def check(shown, people=FOUR, extra=()):
    """Verify a picture of these people (None: nobody) where `people` were asked for."""
    photographs = [None if name is None else PHOTOS[f"{name}_2"] for name in (*shown, *extra)]
    group = compose(photographs)
    embeddings = np.stack([REFERENCES[name] for name in people])
    points = group.points[: len(people)]
    return group, verify(group.image, people, embeddings, points, DETECT, SCORER)


def test_right_placement_scores_everything():
    _, verdict = check(FOUR)
    assert verdict.all_right
    assert metrics.association_accuracy(verdict.assignment) == (4, 4)
    assert metrics.coverage(verdict.assignment, verdict.threshold) == (4, 4)
    assert metrics.count_accuracy(verdict.assignment).value == 1
    assert min(verdict.scores) > verdict.threshold


def test_a_swap_scores_exactly_the_two_as_wrong_and_hungarian_does_not_notice():
    a, b, c, d = FOUR
    _, right = check(FOUR)
    _, swapped = check([a, c, b, d])
    assert metrics.correct(swapped.assignment) == [True, False, False, True]
    assert metrics.swaps(swapped.assignment) == [(1, 2)]
    assert metrics.hungarian_similarity(swapped.assignment).value == pytest.approx(
        metrics.hungarian_similarity(right.assignment).value, abs=0.02
    )
    assert metrics.face_similarity(swapped.assignment).value < 0.6 * (
        metrics.face_similarity(right.assignment).value
    )
    assert not swapped.all_right


def test_a_removed_person_is_a_failure():
    a, b, _, d = FOUR
    _, verdict = check([a, b, None, d])
    assert metrics.correct(verdict.assignment) == [True, True, False, True]
    assert verdict.assignment.faces[2] is None
    assert metrics.association_accuracy(verdict.assignment).value == 0.75
    assert verdict.scores[0] == -1
    assert to_json(verdict)["people"][2]["verdict"] == "no face"


def test_a_person_twice_is_wrong_and_counted():
    a, _, c, d = FOUR
    _, verdict = check([a, a, c, d])
    assert metrics.correct(verdict.assignment) == [True, False, True, True]
    assert metrics.duplicates(verdict.assignment, verdict.threshold) == [1, 0, 0, 0]


def test_a_bystander_is_counted_and_changes_nothing_else():
    _, verdict = check(FOUR[:3], FOUR[:3], extra=FOUR[3:])
    assert verdict.all_right
    assert len(verdict.found) == 4
    assert metrics.count_accuracy(verdict.assignment).value == 0


def test_an_even_mix_of_two_people_is_neither(monkeypatch):
    a, b = FOUR[:2]
    group, _ = check([a, b], [a, b])
    mixed = (REFERENCES[a] + REFERENCES[b])[None]
    mixed /= np.linalg.norm(mixed)
    blended = SCORER._replace(embed=lambda crops: np.repeat(mixed, len(crops), 0))
    references = np.stack([REFERENCES[a], REFERENCES[b]])
    verdict = verify(group.image, [a, b], references, group.points, DETECT, blended)
    assert metrics.correct(verdict.assignment) == [False, False]
    assert metrics.blend(verdict.assignment).value == pytest.approx(
        metrics.face_similarity(verdict.assignment).value, abs=1e-6
    )
    assert {person["verdict"] for person in to_json(verdict)["people"]} == {"nobody's face"}


def test_an_empty_picture():
    image = np.zeros((64, 64, 3), np.uint8)
    references = np.stack([REFERENCES[name] for name in FOUR])
    verdict = verify(image, FOUR, references, [Point(9, 9)] * 4, DETECT, SCORER)
    assert metrics.association_accuracy(verdict.assignment) == (0, 4)
    assert verdict.scores == (-1, -1, -1, -1)


def test_a_point_outside_the_picture_is_no_place():
    group, _ = check(FOUR)
    references = np.stack([REFERENCES[name] for name in FOUR])
    points = [*group.points[:3], Point(-5, 10)]
    verdict = verify(group.image, FOUR, references, points, DETECT, SCORER)
    assert metrics.association_accuracy(verdict.assignment) == (3, 3)
    assert to_json(verdict)["people"][3]["verdict"] == "no place"


def test_the_report_names_the_scorer_and_everybody():
    a, b, c, d = FOUR
    _, verdict = check([b, a, c, None])
    text = to_text(verdict, "Picture 3")
    assert text.splitlines()[0] == "Picture 3: 1 of 4 people at their place"
    assert f"✗ {a}" in text
    assert f"looks like {b}" in text
    assert f"✓ {c}" in text
    assert f"✗ {d}  no face" in text
    assert f"Swapped: {a}, {b}" in text
    assert to_json(verdict)["scorer"] == "fr_feature"


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_boxes_are_drawn_in_the_colour_of_the_verdict(kind):
    a, b, c, d = FOUR
    group, verdict = check([a, c, b, d])
    image = group.image.copy()
    if kind == "float32":
        image = image.astype(np.float32) / 255
    annotate(image, verdict)
    for person, right in zip(to_json(verdict)["people"], (True, False, False, True), strict=True):
        left, _, _, bottom = (int(v) for v in person["box"])
        corner = image[bottom - 1, left] * (255 if kind == "float32" else 1)
        assert np.round(corner).tolist() == list(GREEN if right else RED)


def test_a_missing_person_gets_a_red_square():
    group, verdict = check([FOUR[0], None, FOUR[2], FOUR[3]])
    image = group.image.copy()
    annotate(image, verdict)
    x, y = (int(v) for v in group.points[1])
    around = image[y - 60 : y + 60, x - 60 : x + 60]
    assert (around == RED).all(-1).sum() > 100
