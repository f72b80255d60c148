import json
from itertools import combinations

import pytest

from idpatch_core.layout import (
    ARRANGEMENTS,
    Head,
    Placement,
    Point,
    assign_left_to_right,
    head_at,
    is_inside,
    outside,
    overlapping,
    parse_placements,
)

TWO = ("Ann", "Bob")


@pytest.mark.parametrize("text", ["", " \n", "[]", '{"version": 1, "people": []}'])
def test_nothing_placed_by_hand(text: str):
    assert parse_placements(text, TWO) == []


def test_places_are_read_in_the_order_of_the_people():
    placements = parse_placements('[{"x": 412.5, "y": 230}, {"x": -7, "y": 1e3}]', TWO)
    assert placements == [Placement(Point(412.5, 230.0)), Placement(Point(-7.0, 1000.0))]


def test_places_stay_exact():
    (placement,) = parse_placements('[{"x": 1001.4999999999, "y": 0.1}]', ("Ann",))
    assert placement.point == (1001.4999999999, 0.1)


def test_people_can_be_taken_off_the_canvas():
    text = '[null, {"x": 3, "y": 4, "placed": false, "strength": 0.5}]'
    assert parse_placements(text, TWO) == [Placement(None), Placement(None, 0.5)]


def test_strength_and_fields_of_the_editor():
    text = json.dumps(
        {"version": 1, "seen": 3, "people": [{"x": 1, "y": 2, "strength": 0.25, "key": "a"}]}
    )
    assert parse_placements(text, ("Ann",)) == [Placement(Point(1.0, 2.0), 0.25)]


@pytest.mark.parametrize(
    "text, message",
    [
        ('[{"x": 1, "y": 2},\n {"x": 1 "y": 2}]', "line 2, column 10"),
        ("people", "not JSON at line 1, column 1"),
        ("[" * 100_000, "nested too deeply"),
        ("3", "a list with a place for each person, got 3"),
        ('{"people": []}', "expected version 1, got null"),
        ('{"version": 2, "people": []}', "expected version 1, got 2"),
        ('{"version": true, "people": []}', "expected version 1, got true"),
        ('{"version": "1", "people": []}', 'expected version 1, got "1"'),
        ('{"version": 1}', 'no "people"'),
        ('[{"x": NaN, "y": 2}, null]', "NaN"),
        ('[{"x": 1, "y": -Infinity}, null]', "-Infinity"),
        ('[{"x": 1e999, "y": 2}, null]', r"person 1 \(Ann\): x must be a finite number"),
        (f'[{{"x": 1{"0" * 5000}, "y": 2}}, null]', r"person 1 \(Ann\): x must be a finite"),
        ('[null, {"x": 1, "y": 2e6}]', r"person 2 \(Bob\): y is 2e\+06 pixels"),
        ('[null, {"x": "12", "y": 2}]', r'person 2 \(Bob\): x must be a number, got "12"'),
        ('[null, {"x": true, "y": 2}]', r"person 2 \(Bob\): x must be a number, got true"),
        ('[null, {"x": null, "y": 2}]', r"person 2 \(Bob\): x must be a number, got null"),
        ('[null, {"x": 1}]', r"person 2 \(Bob\): y is missing"),
        ("[null, [1, 2]]", r"person 2 \(Bob\): expected .* got \[1, 2\]"),
        ('[null, {"x": 1, "y": 2, "placed": 1}]', "placed must be true or false, got 1"),
        ('[null, {"x": 1, "y": 2, "strength": -1}]', "strength must be from 0 to 10, got -1"),
        ('[null, {"x": 1, "y": 2, "strength": "1"}]', 'strength must be a number, got "1"'),
        ("[null]", r"1 place for 2 people \(Ann, Bob\); no place for Bob"),
        ("[null, null, null]", r"3 places for 2 people .* nobody stands at place 3"),
    ],
)
def test_bad_placements_say_what_is_wrong(text: str, message: str):
    with pytest.raises(ValueError, match=f"^placements: .*{message}"):
        parse_placements(text, TWO)


def test_inside_is_a_pixel_of_the_picture_once_rounded():
    assert is_inside(Point(-0.5, 199.4), 264, 200)  # half rounds to even: 0
    assert not is_inside(Point(-0.51, 100), 264, 200)
    assert not is_inside(Point(100, 199.6), 264, 200)
    assert not is_inside(Point(264, 100), 264, 200)


def test_people_outside_are_found():
    points = [Point(10, 10), None, Point(10, 200), Point(-9, 10)]
    assert outside(points, 264, 200) == [2, 3]


def test_patches_overlap_within_their_size_in_both_directions():
    points = [Point(100, 100), Point(163, 37), Point(164, 100), Point(100, 36), None]
    assert overlapping(points, 512, 512, 64) == [(0, 1), (1, 2), (1, 3)]


def test_patches_of_different_sizes_overlap_by_their_own():
    points = [Point(100, 100), Point(150, 100), Point(300, 100)]
    assert overlapping(points, 512, 512, [64, 30, 64]) == []
    assert overlapping(points, 512, 512, [64, 40, 300]) == [(0, 1), (1, 2)]


def test_the_nearest_head_within_reach_is_found():
    heads = [Head(Point(10, 10), 1.0), Head(Point(30, 10), 2.0)]
    assert head_at(Point(26, 10), heads, 5) is heads[1]
    assert head_at(Point(20, 40), heads, 5) is None
    assert head_at(None, heads, 5) is None
    assert head_at(Point(20, 40), [], 5) is None


def test_people_without_a_patch_overlap_nobody():
    assert overlapping([Point(-3, 10), Point(1, 10)], 512, 512, 64) == []


def test_people_are_assigned_from_left_to_right():
    found = [Head(Point(300, 5), 1.0), Head(Point(20, 90), 1.0)]
    assert assign_left_to_right(found, TWO, "pose_keypoint", "pose") == (
        [Point(20, 90), Point(300, 5)],
        [],
    )


def test_the_least_prominent_is_left_out_and_shifts_nobody():
    left, right, spurious = (
        Head(Point(100, 50), 80.0),
        Head(Point(300, 50), 70.0),
        Head(Point(5, 5), 2.0),
    )
    points, unused = assign_left_to_right([spurious, right, left], TWO, "pose_keypoint", "pose")
    assert points == [left.point, right.point]
    assert unused == [spurious]


def test_too_few_places_name_the_people():
    with pytest.raises(ValueError, match=r"base_image: 1 face found for 2 people \(Ann, Bob\)"):
        assign_left_to_right([Head(Point(1, 1), 1.0)], TWO, "base_image", "face")


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("size", [(1024, 1024), (264, 200), (192, 256), (640, 128), (832, 1216)])
def test_arranged_patches_lie_in_the_picture_and_keep_apart(name: str, size: tuple[int, int]):
    width, height = size
    for count in range(1, 11):
        points = ARRANGEMENTS[name](count, width, height, 64)
        assert len(points) == count
        assert all(32 <= x <= width - 32 and 32 <= y <= height - 32 for x, y in points)
        assert all(max(abs(a.x - b.x), abs(a.y - b.y)) >= 64 for a, b in combinations(points, 2))


def test_a_picture_too_small_for_everybody_still_has_all_points_inside():
    points = ARRANGEMENTS["row"](10, 64, 64, 64)
    assert len(points) == 10
    assert outside(points, 64, 64) == []


def test_row():
    assert ARRANGEMENTS["row"](3, 600, 400, 64) == [(100, 140), (300, 140), (500, 140)]


def test_two_rows_have_the_back_row_first():
    points = ARRANGEMENTS["two rows"](3, 600, 400, 64)
    assert points == [(150, 120), (450, 120), (300, 240)]


def test_arc_is_highest_in_the_middle():
    left, middle, right = ARRANGEMENTS["arc"](3, 600, 400, 64)
    assert middle == (300, 140)
    assert left == (100, 176)
    assert right == (500, 176)
