import json

import pytest

from idpatch_core.layout import Placement, Point
from idpatch_core.placements import format_placements, parse_placements, read_placements

TWO = ("Ann", "Bob")


@pytest.mark.parametrize("text", ["", " \n", "[]", '{"version": 1, "people": []}'])
def test_nothing_placed_by_hand(text: str):
    assert parse_placements(text, TWO).people == []


def test_placements_are_read_in_the_order_of_the_people():
    placements = parse_placements('[{"x": 412.5, "y": 230}, {"x": -7, "y": 1e3}]', TWO).people
    assert placements == [Placement(Point(412.5, 230.0)), Placement(Point(-7.0, 1000.0))]


def test_points_stay_exact():
    (placement,) = parse_placements('[{"x": 1001.4999999999, "y": 0.1}]', ("Ann",)).people
    assert placement.point == (1001.4999999999, 0.1)


def test_people_can_be_taken_off_the_canvas():
    text = '[null, {"x": 3, "y": 4, "placed": false, "patch_strength": 0.5}]'
    assert parse_placements(text, TWO).people == [Placement(None), Placement(None, 0.5)]


def test_patch_strength_and_fields_of_the_editor():
    text = json.dumps(
        {"version": 1, "seen": 3, "people": [{"x": 1, "y": 2, "patch_strength": 0.25, "key": "a"}]}
    )
    assert parse_placements(text, ("Ann",)).people == [Placement(Point(1.0, 2.0), 0.25)]


@pytest.mark.parametrize(
    "text, message",
    [
        ('[{"x": 1, "y": 2},\n {"x": 1 "y": 2}]', "line 2, column 10"),
        ("people", "not JSON at line 1, column 1"),
        (str([{"x": 1, "y": 2}, None]), "Python's text of an object.* json.dumps"),
        (str({"version": 1, "people": []}), "Python's text of an object.* json.dumps"),
        ("[" * 100_000, "nested too deeply"),
        ("3", "a list with a placement for each person, got 3"),
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
        (
            '[null, {"x": 1, "y": 2, "patch_strength": -1}]',
            "patch_strength must be from 0 to 10, got -1",
        ),
        (
            '[null, {"x": 1, "y": 2, "patch_strength": "1"}]',
            'patch_strength must be a number, got "1"',
        ),
        (
            '[null, {"x": 1, "y": 2, "body": "sitting"}]',
            r"\(Bob\): body must be a list of 18",
        ),
        (
            '[null, {"x": 1, "y": 2, "body": [[1, 2]]}]',
            r"\(Bob\): body must be a list of 18",
        ),
        (
            f'[null, {{"x": 1, "y": 2, "body": {[[1, 2]] * 17 + [[1]]}}}]',
            r"body: joint 17 must be \[x, y\] or null, got \[1\]",
        ),
        (
            f'[null, {{"x": 1, "y": 2, "body": {[[1, 2]] * 17 + [[1, 2e6]]}}}]',
            r"body: joint 17 is 2e\+06 pixels",
        ),
        ("[null]", r"1 placement for 2 people \(Ann, Bob\); none for Bob"),
        (
            "[null, null, null]",
            r"3 placements for 2 people \(Ann, Bob\); no one is left for placement 3",
        ),
    ],
)
def test_bad_placements_say_what_is_wrong(text: str, message: str):
    with pytest.raises(ValueError, match=f"^placements: .*{message}"):
        parse_placements(text, TWO)


def test_points_are_written_and_read_back():
    points = [Point(412.5, 1001.4999999999), None]
    people = parse_placements(format_placements(points), TWO).people
    assert [placement.point for placement in people] == points


def stored(*people: dict | None, **size: object) -> str:
    """The placements as the editor writes them."""
    return json.dumps({"version": 1, "people": people, **size})


ANN, BOB = {"x": 100, "y": 50, "name": "Ann"}, {"x": 300, "y": 60, "name": "Bob"}


def test_placements_for_another_size_are_scaled_with_a_warning():
    placements, (warning,) = read_placements(
        stored(ANN, None, width=1024, height=768), TWO, 1536, 1536
    )
    assert placements == [Placement(Point(150, 100)), Placement(None)]
    assert "made for an image of 1024x768 and scaled to 1536x1536" in warning


@pytest.mark.parametrize("size", [{"width": 512, "height": 512}, {}, {"width": "9", "height": 0}])
def test_placements_for_this_size_or_none_stay(size):
    placements, warnings = read_placements(stored(ANN, BOB, **size), TWO, 512, 512)
    assert [placement.point for placement in placements] == [(100, 50), (300, 60)]
    assert warnings == []


def test_placements_follow_the_names_with_a_warning():
    placements, (warning,) = read_placements(stored(BOB, ANN), TWO, 512, 512)
    assert [placement.point for placement in placements] == [(100, 50), (300, 60)]
    assert "made for Bob, Ann, in this order; each person has their own" in warning


def test_a_new_person_takes_the_placement_of_one_who_is_gone():
    placements, (warning,) = read_placements(stored(BOB, ANN), ("Ann", "Cleo"), 512, 512)
    assert [placement.point for placement in placements] == [(100, 50), (300, 60)]
    assert "made for Bob, Ann, but the people are Ann, Cleo; each person has their own" in warning


def test_a_person_who_is_gone_breaks_nothing():
    placements, (warning,) = read_placements(stored(ANN, BOB), ("Bob",), 512, 512)
    assert [placement.point for placement in placements] == [(300, 60)]
    assert "made for Ann, Bob, but the people are Bob" in warning


def test_a_new_person_is_placed_apart_from_the_others():
    placements, (_, warning) = read_placements(stored(ANN, BOB), ("Cleo", *TWO), 512, 512)
    cleo, *others = [placement.point for placement in placements]
    assert others == [(100, 50), (300, 60)]
    assert cleo is not None
    apart = [max(abs(cleo.x - x), abs(cleo.y - y)) for x, y in ((100, 50), (300, 60))]
    assert min(apart) >= 64
    assert f"Cleo is new and was placed at {cleo.x:.0f}, {cleo.y:.0f}" in warning


def test_a_new_person_is_not_off_the_canvas():
    gone = {**BOB, "placed": False}
    placements, _ = read_placements(stored(ANN, gone), ("Ann", "Cleo"), 512, 512)
    assert placements[1].point is not None


def test_placements_without_some_names_stay_in_order():
    text = stored({"x": 3, "y": 4}, ANN)
    assert [p.point for p in read_placements(text, TWO, 512, 512)[0]] == [(3, 4), (100, 50)]
    assert read_placements(text, TWO, 512, 512)[1] == []


@pytest.mark.parametrize(
    "text", ['[{"x": 0.5, "y": 0.4}, null]', '[{"x": 0, "y": 1}, {"x": 0.9, "y": 1}]']
)
def test_shares_of_the_image_are_noticed(text):
    with pytest.raises(ValueError, match=r"^placements: .* to be normalised to the image.*1536"):
        read_placements(text, TWO, 1024, 1536)


@pytest.mark.parametrize(
    "text", ['[{"x": 0, "y": 1}, null]', '[{"x": 0.5, "y": 0.4}, {"x": 9, "y": 0}]']
)
def test_points_at_the_corner_are_no_shares(text):
    assert read_placements(text, TWO, 512, 512)[1] == []


BODY = [[1, 2], None, *[[-3.5, 4]] * 16]


def test_a_body_is_read():
    (ann, bob) = parse_placements(stored({**ANN, "body": BODY}, {**BOB, "body": None}), TWO).people
    assert ann.body == ((1, 2), None, *[(-3.5, 4)] * 16)
    assert bob.body is None
    off = {**ANN, "body": BODY, "placed": False}
    assert parse_placements(stored(off, BOB), TWO).people[0] == Placement(None)


def test_a_body_keeps_its_shape_in_another_size():
    text = stored({**ANN, "body": BODY}, BOB, width=512, height=512)
    (ann, _), _ = read_placements(text, TWO, 2048, 512)
    assert ann.point == (400, 50)
    assert ann.body is not None and ann.body[0] == (2, 4) and ann.body[1] is None
