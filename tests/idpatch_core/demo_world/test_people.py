"""Drawn people: the same number is the same person, however they look today."""

import numpy as np

from idpatch_core.demo_world.people import SHIRTS, Look, draw, look, person

SMILING = Look("smile", False, True, "crew", "red", False)


def test_a_person_is_their_number() -> None:
    assert person(7) == person(7)
    assert len({str(person(number)) for number in range(200)}) == 200


def test_the_drawing_is_the_same_again() -> None:
    np.testing.assert_array_equal(draw(3, SMILING, 96).pixels, draw(3, SMILING, 96).pixels)


def test_expression_changes_the_mouth_and_not_the_hair() -> None:
    calm, loud = draw(3, SMILING, 180), draw(3, SMILING._replace(mouth="laughing"), 180)
    changed = (calm.pixels != loud.pixels).any(-1)
    rows = np.flatnonzero(changed.any(1))
    mouth = calm.keypoints[3:, 1].mean()
    assert abs(rows.mean() - mouth) < 12
    assert not changed[:60].any()


def test_the_shirt_has_its_colour() -> None:
    red = tuple(int(SHIRTS["red"][i : i + 2], 16) for i in (1, 3, 5))
    shirt = draw(3, SMILING, 180).pixels[176, 80]
    assert tuple(shirt[:3].tolist()) == red


def test_mirrored_keypoints_are_ordered_as_seen() -> None:
    drawn, mirrored = draw(3, SMILING, 100), draw(3, SMILING._replace(mirrored=True), 100)
    np.testing.assert_array_equal(mirrored.pixels, drawn.pixels[:, ::-1])
    for one in (drawn, mirrored):
        assert one.keypoints[0, 0] < one.keypoints[1, 0]
        assert one.keypoints[3, 0] < one.keypoints[4, 0]
        assert one.pose[2, 0] < one.pose[5, 0]  # the person's right is on our left
    assert mirrored.keypoints[2, 0] == 100 - drawn.keypoints[2, 0]


def test_looks_differ() -> None:
    random = np.random.default_rng(0)
    assert len({look(random) for _ in range(50)}) > 40
