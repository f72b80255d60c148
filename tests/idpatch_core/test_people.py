import json

import numpy as np
import pytest

from idpatch_core.face_detector import Face
from idpatch_core.layout import Point
from idpatch_core.people import Person, Photo, find_face_at, parse_people


def test_an_empty_text_has_no_one():
    assert parse_people(" \n") == parse_people("[]") == []


def test_people_are_read_with_their_photos():
    people = [
        {"name": " Anna \n Maria ", "photos": ["anna.jpg"], "note": "ignored"},
        {
            "photos": [{"file": "a b.png [output]", "face": [0.25, 1], "weight": 0.5}],
            "token_strength": 2,
            "phrase": " red\n shirt\ud800",
        },
    ]
    expected = [
        Person("Anna Maria", (Photo("anna.jpg"),)),
        Person(
            "",
            (Photo("a b.png [output]", Point(0.25, 1.0), 0.5),),
            2.0,
            r"red shirt\ud800",
        ),
    ]
    assert parse_people(json.dumps(people)) == expected
    assert parse_people(json.dumps({"version": 1, "people": people})) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "people: it is not JSON"),
        ("3", "people: expected a list, got 3"),
        ('{"version": 2, "people": []}', "people: it has version 2, expected 1"),
        ('{"version": 1}', "people: expected a list, got nothing"),
        ("[[]]", "people: person 1: expected an object, got a list of 0"),
        ('[{"name": 3}]', "people: person 1: name: expected text, got 3"),
        ('[{"name": "Anna"}]', r"people: person 1 \(Anna\): photos: expected at least one photo"),
        ('[{"photos": [""]}]', "people: person 1: photos: expected the name of a file"),
        ('[{"photos": [{"file": 3}]}]', "photos: expected the name of a file .* got 3"),
        ('[{"photos": [{"file": "a", "face": [2, 0]}]}]', r"a: face: expected \[x, y\], each"),
        ('[{"photos": [{"file": "a", "face": [NaN, 0]}]}]', r"a: face: expected \[x, y\], each"),
        ('[{"photos": [{"file": "a", "weight": -1}]}]', "a: weight: expected a number from 0"),
        (
            '[{"name": "Ben", "photos": ["a"], "token_strength": 1e9}]',
            r"person 1 \(Ben\): token_strength: expected a number from 0 to 10, got 1e\+09",
        ),
        (
            '[{"name": "Ben", "photos": ["a"], "phrase": 3}]',
            r'person 1 \(Ben\): phrase: expected text, got 3\. Write one such as "red shirt',
        ),
        (f'[{{"photos": ["a"], "token_strength": 1{"0" * 400}}}]', "got a huge number"),
    ],
)
def test_anything_else_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        parse_people(text)


def face(left: float, top: float, right: float, bottom: float) -> Face:
    nose = ((left + right) / 2, (top + bottom) / 2)
    return Face((left, top, right, bottom), np.tile(np.float32(nose), (5, 1)), 1.0)


@pytest.mark.parametrize(
    ("point", "index"),
    [
        ((90, 90), 0),  # in the large face, nearer to the small one's nose
        ((120, 50), 1),
        ((105, 50), 0),  # outside both, nearer to the large one's box
        ((128, 0), 1),
    ],
)
def test_the_face_at_a_point_holds_it_or_is_nearest(point, index):
    faces = [face(0, 0, 100, 100), face(112, 20, 136, 90)]
    assert find_face_at(faces, Point(*point)) == index


def test_of_overlapping_faces_the_nearest_nose_counts():
    assert find_face_at([face(0, 0, 100, 100), face(60, 0, 120, 60)], Point(80, 30)) == 1
