import json
import re

import pytest
from PIL import Image

from idpatch_core.evaluate.cases import read_cases
from idpatch_core.layout import Point


def write_lines(path, *rows):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    return path


def image(path, size=(64, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


ADA = {"name": "Ada", "references": ["ada.jpg", "ada2.jpg"], "point": [10, 20.5]}


def test_our_own_lines(tmp_path):
    row = {"id": 7, "prompt": "two", "width": 64, "height": 48, "people": [ADA], "seconds": 2}
    row |= {"result": "out/7.png", "ground_truth": "real.jpg", "system": "ours"}
    (case,) = read_cases(write_lines(tmp_path / "cases.jsonl", row))
    assert (case.id, case.system, case.prompt, case.seconds) == ("7", "ours", "two", 2.0)
    assert case.people[0].references == (tmp_path / "ada.jpg", tmp_path / "ada2.jpg")
    assert case.people[0].point == Point(10.0, 20.5)
    assert (case.size, case.result) == ((64, 48), tmp_path / "out/7.png")
    assert case.truth == tmp_path / "real.jpg"


@pytest.mark.parametrize(
    ("place", "point"),
    [
        ({"point": {"x": 1, "y": 2}}, Point(1, 2)),
        ({"box": [0, 10, 20, 50]}, Point(10, 30)),
        ({"point": None}, None),
        ({}, None),
    ],
)
def test_formats_of_a_point(tmp_path, place, point):
    row = {"people": [{"references": "a.jpg", **place}]}
    (case,) = read_cases(write_lines(tmp_path / "cases.jsonl", row))
    assert case.people[0].point == point
    assert (case.id, case.people[0].name) == ("1", "person 1")


def test_a_pose_gives_points_from_left_to_right(tmp_path):
    def body(x):
        keypoints = [[0, 0, 0]] * 18
        keypoints[0] = [x, 30, 1]
        return {"pose_keypoints_2d": [value for point in keypoints for value in point]}

    frame = {"canvas_width": 100, "canvas_height": 50, "people": [body(80), body(20)]}
    people = [{"name": n, "references": [f"{n}.jpg"]} for n in ("Ada", "Ben")]
    (tmp_path / "pose.json").write_text(json.dumps([frame]))
    rows = [{"people": people, "pose": pose} for pose in (frame, "pose.json")]
    for case in read_cases(write_lines(tmp_path / "cases.jsonl", *rows)):
        assert [person.point for person in case.people] == [Point(20, 30), Point(80, 30)]
        assert case.size == (100, 50)


def test_the_result_is_looked_for_by_id(tmp_path):
    image(tmp_path / "out" / "b.jpg")
    rows = [{"id": id, "people": [ADA]} for id in "ab"]
    path = write_lines(tmp_path / "cases.jsonl", *rows)
    results = [case.result for case in read_cases(path, results=tmp_path / "out")]
    assert results == [tmp_path / "out" / "a.png", tmp_path / "out" / "b.jpg"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "Expecting"),
        ("[1]", "JSON object"),
        ("[" * 60_000, "nested"),
        ('{"people": []}', "people"),
        ('{"people": [{"name": "Ada"}]}', "person 1.*references"),
        ('{"people": [{"references": [5]}]}', 'person 1: "references": expected files'),
        ('{"people": [{"references": {"a": 1}}]}', "person 1.*references"),
        ('{"people": [{"references": "a.jpg", "name": 5}]}', '"name": expected a text'),
        ('{"people": [{"references": "a.jpg", "point": [1]}]}', r"point \[x, y\]"),
        ('{"people": [{"references": "a.jpg", "point": [1, 1e300]}]}', r"point \[x, y\]"),
        ('{"people": [{"references": "a.jpg", "point": {"x": 1}}]}', r"point \[x, y\]"),
        ('{"people": [{"references": "a.jpg", "point": "12"}]}', r"point \[x, y\]"),
        ('{"people": [{"references": "a.jpg", "box": [1, 2]}]}', "a box"),
        (json.dumps({"people": [ADA], "id": ["x"]}), '"id": expected a text'),
        (json.dumps({"people": [ADA], "width": 0, "height": 64}), '"width": expected a whole'),
        (json.dumps({"people": [ADA], "width": 64}), '"height": expected a whole .* got None'),
        (json.dumps({"people": [ADA], "width": 1.5, "height": 64}), '"width": expected a whole'),
        (json.dumps({"people": [ADA], "width": "64", "height": 64}), '"width": expected a whole'),
        (json.dumps({"people": [ADA], "seconds": float("nan")}), "finite numbers, got nan"),
        (json.dumps({"people": [ADA], "seconds": -1}), '"seconds": expected a number'),
        (json.dumps({"people": [ADA], "prompt": 5}), '"prompt": expected a text, got 5'),
        (json.dumps({"people": [ADA], "result": "a\0b"}), r"U\+0000"),
        (json.dumps({"people": [ADA], "pose": "gone.json"}), r"gone\.json cannot be read"),
        (json.dumps({"people": [ADA], "pose": "deep.json"}), r"deep\.json: lists .* nested"),
    ],
)
def test_a_bad_line_is_a_case_with_a_problem(tmp_path, line, message):
    (tmp_path / "deep.json").write_text("[" * 60_000)
    row = {"id": "good", "people": [ADA]}
    path = write_lines(tmp_path / "cases.jsonl", row, line, row)
    good, bad, last = read_cases(path)
    assert good.problem is None and last == good
    assert re.match(rf"cases.jsonl, line 2: .*{message}", str(bad.problem))


def test_a_value_of_null_is_as_if_it_were_not_there(tmp_path):
    names = ("id", "width", "height", "prompt", "system", "seconds", "result", "ground_truth")
    row = {"people": [ADA | {"name": None}], "pose": None, **dict.fromkeys(names)}
    path = write_lines(tmp_path / "cases.jsonl", row, {"people": [ADA | {"name": "person 1"}]})
    first, second = read_cases(path)
    assert first == second._replace(id="1", result=first.result)


def test_a_separator_of_unicode_and_a_long_id_are_no_problem(tmp_path):
    rows = [{"id": "x" * 300, "people": [ADA], "prompt": "a\u2028b\x85c"}, {"people": [ADA]}]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "cases.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    first, second = read_cases(tmp_path / "cases.jsonl")
    assert (first.problem, second.problem, second.id) == (None, None, "2")
    assert (first.id, first.prompt) == ("x" * 300, "a\u2028b\x85c")


def test_a_folder_of_our_own(tmp_path):
    write_lines(tmp_path / "cases.jsonl", {"people": [ADA]})
    write_lines(tmp_path / "results.jsonl", {"id": "r", "people": [ADA]})
    assert [case.id for case in read_cases(tmp_path)] == ["r"]


def test_what_is_no_source_at_all(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_cases(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no cases"):
        read_cases(tmp_path)
    (tmp_path / "x.json").write_text('[{"some": "thing"}]')
    with pytest.raises(ValueError, match="image_paths"):
        read_cases(tmp_path / "x.json", results=tmp_path)
    (tmp_path / "x.json").write_text('[{"people": ["a.jpg"]}]')
    with pytest.raises(ValueError, match="--results"):
        read_cases(tmp_path / "x.json")
