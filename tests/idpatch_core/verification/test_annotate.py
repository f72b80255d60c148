import numpy as np
import pytest
from verified import FOUR, verify_group

from idpatch_core.verification.annotate import GREEN, RED, annotate_record
from idpatch_core.verification.verdict import verdict_to_json


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_boxes_are_drawn_in_the_colour_of_the_verdict(kind):
    a, b, c, d = FOUR
    group, verdict = verify_group([a, c, b, d])
    image = group.image.copy()
    if kind == "float32":
        image = image.astype(np.float32) / 255
    annotate_record(image, verdict_to_json(verdict))
    for person, right in zip(
        verdict_to_json(verdict)["people"], (True, False, False, True), strict=True
    ):
        left, _, _, bottom = (int(v) for v in person["box"])
        corner = image[bottom - 1, left] * (255 if kind == "float32" else 1)
        assert np.round(corner).tolist() == list(GREEN if right else RED)


def test_a_missing_person_gets_a_red_square():
    group, verdict = verify_group([FOUR[0], None, FOUR[2], FOUR[3]])
    image = group.image.copy()
    annotate_record(image, verdict_to_json(verdict))
    x, y = (int(v) for v in group.points[1])
    around = image[y - 60 : y + 60, x - 60 : x + 60]
    assert (around == RED).all(-1).sum() > 100
