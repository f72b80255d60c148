"""Drawn people: the same number is the same person, whatever their appearance."""

import numpy as np

from idpatch_core.demo_world.people import (
    SHIRTS,
    Appearance,
    draw_person,
    sample_appearance,
    sample_identity,
)

SMILING = Appearance("smile", False, True, "crew", "red", False)


def test_a_person_is_their_number():
    assert sample_identity(7) == sample_identity(7)
    assert len({str(sample_identity(number)) for number in range(200)}) == 200


def test_the_drawing_is_the_same_again():
    first, again = (draw_person(3, SMILING, 96) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, again.pixels)


def test_expression_changes_the_mouth_and_not_the_hair():
    calm = draw_person(3, SMILING, 180)
    loud = draw_person(3, SMILING._replace(mouth="laughing"), 180)
    changed = (calm.pixels != loud.pixels).any(-1)
    rows = np.flatnonzero(changed.any(1))
    mouth = calm.keypoints[3:, 1].mean()
    assert abs(rows.mean() - mouth) < 12
    assert not changed[:60].any()


def test_the_shirt_has_its_colour():
    red = tuple(int(SHIRTS["red"][i : i + 2], 16) for i in (1, 3, 5))
    shirt = draw_person(3, SMILING, 180).pixels[176, 80]
    assert tuple(shirt[:3].tolist()) == red


def test_mirrored_keypoints_are_ordered_as_seen():
    drawn = draw_person(3, SMILING, 100)
    mirrored = draw_person(3, SMILING._replace(mirrored=True), 100)
    np.testing.assert_array_equal(mirrored.pixels, drawn.pixels[:, ::-1])
    for person in (drawn, mirrored):
        assert person.keypoints[0, 0] < person.keypoints[1, 0]
        assert person.keypoints[3, 0] < person.keypoints[4, 0]
        assert person.pose[2, 0] < person.pose[5, 0]  # the person's right is on our left
    assert mirrored.keypoints[2, 0] == 100 - drawn.keypoints[2, 0]


def test_appearances_differ():
    random = np.random.default_rng(0)
    assert len({sample_appearance(random) for _ in range(50)}) > 40
