import math

import numpy as np
import pytest

from idpatch_core.bodies import (
    KINDS,
    choose_people,
    find_pose,
    fit_height,
    make_body,
    mirror_body,
    read_body,
    scale_body,
    to_person,
)
from idpatch_core.layout import Placement, Point
from idpatch_core.poses import make_standing
from idpatch_core.skeleton import find_head

POINT = Point(500.0, 300.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_head_of_each_kind_is_at_the_point(kind: str, mirrored: bool):
    head = find_head(to_person(POINT, make_body(kind, 640.0, mirrored)))
    assert head is not None
    assert math.dist(head.point, POINT) < 0.01


def test_kinds_show_what_their_names_say():
    bodies = {kind: make_body(kind, 1000.0) for kind in KINDS}
    knee, ankle, elbow, nose, shoulder = 9, 10, 3, 0, 2
    assert bodies["half_length"][knee] is None and bodies["half_length"][elbow] is not None
    assert bodies["portrait"][elbow] is None and bodies["portrait"][shoulder] is not None
    assert bodies["back_turned"][nose] is None
    back, front = bodies["back_turned"][shoulder], bodies["standing"][shoulder]
    assert back and front and back.x == -front.x > 0
    adult, child = bodies["standing"][ankle], bodies["child"][ankle]
    assert adult and child and adult.y > 1.4 * child.y


def test_a_mirror_exchanges_the_sides():
    body = make_body("hugging", 100.0)
    left_wrist, right_wrist = body[7], mirror_body(body)[4]
    assert left_wrist and right_wrist == (-left_wrist.x, left_wrist.y)
    assert mirror_body(mirror_body(body)) == body


@pytest.mark.parametrize(
    ("others", "y", "width"),
    [
        ([], 300.0, 64.0),  # the patch
        ([(700.0, 300.0)], 300.0, 200 / 0.3 * 0.0756),  # as wide as the space
        ([], 1300.0, (0.96 * 2000 - 1300) / 0.865 * 0.0756),  # feet on the ground
        ([(510.0, 300.0)], 300.0, 0.4 * 64),  # no smaller
    ],
)
def test_a_face_is_as_wide_as_the_patch_or_as_fits(others, y, width):
    height = fit_height("standing", Point(500.0, y), [Point(*p) for p in others], 2000, 64)
    right, left = make_body("standing", height)[14:16]
    assert right and left
    assert 2.1 * (left.x - right.x) == pytest.approx(width)


def test_a_body_is_read_from_a_pose_and_moves_with_the_point():
    (person,) = make_standing(1, 512, 512)
    person[4, 2] = 0.2  # a wrist that is not certain
    head = find_head(person)
    assert head is not None
    body = read_body(person, head.point)
    assert body[4] is None
    moved = to_person(Point(head.point.x + 30, head.point.y - 8), body)
    seen = moved[:, 2] > 0
    assert np.allclose(moved[seen, :2], person[seen, :2] + [30, -8], atol=0.005)
    doubled = scale_body(body, 2.0)
    assert doubled is not None and doubled[1] and body[1]
    assert doubled[1].y == 2 * body[1].y and doubled[4] is None


def test_the_nearest_pose_within_reach_is_found():
    poses = make_standing(3, 1024, 1024)
    nose = Point(*poses[1, 0, :2].tolist())
    near = find_pose(Point(nose.x + 20, nose.y), poses, 32)
    assert near is not None and np.array_equal(near, poses[1])
    assert find_pose(Point(nose.x + 40, nose.y), poses, 32) is None


POSES = make_standing(2, 1024, 1024)
NOSES = [Point(*person[0, :2].tolist()) for person in POSES]


def test_poses_are_drawn_as_they_are_while_no_one_has_a_body():
    placements = [Placement(Point(9.0, 9.0)), Placement(None)]
    assert choose_people(placements, POSES, None, 1024, 64) is POSES


def test_a_body_takes_the_place_of_the_pose():
    body = make_body("sitting", 500.0)
    placements = [Placement(Point(300.0, 300.0), 1.0, body), Placement(NOSES[1])]
    people = choose_people(placements, POSES, None, 1024, 64)
    assert np.array_equal(people, [to_person(Point(300.0, 300.0), body), POSES[1]])


def test_a_kind_is_for_people_without_body_and_pose_who_are_in_the_image():
    placements = [Placement(None), Placement(NOSES[0]), Placement(Point(500.0, 600.0))]
    people = choose_people(placements, POSES, "portrait", 1024, 64)
    assert len(people) == 2
    assert np.array_equal(people[0], POSES[0])
    assert people[1, 0].tolist() == [500, 600, 1] and people[1, 10, 2] == 0
