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
        ('{"people": []}', "people"),
        ('{"people": [{"name": "Ada"}]}', "person 1.*references"),
        ('{"people": [{"references": "a.jpg", "point": [1]}]}', r"point \[x, y\]"),
    ],
)
def test_a_bad_line_is_a_case_with_a_problem(tmp_path, line, message):
    path = write_lines(tmp_path / "cases.jsonl", {"id": "good", "people": [ADA]}, line)
    good, bad = read_cases(path)
    assert good.problem is None
    assert re.match(rf"cases.jsonl, line 2: .*{message}", str(bad.problem))


def test_a_folder_of_our_own(tmp_path):
    write_lines(tmp_path / "cases.jsonl", {"people": [ADA]})
    write_lines(tmp_path / "results.jsonl", {"id": "r", "people": [ADA]})
    assert [case.id for case in read_cases(tmp_path)] == ["r"]


def test_results_of_multiid_bench(tmp_path):
    for number in (1, 2, 10):
        image(tmp_path / "0007" / f"ref_{number}.jpg")
    image(tmp_path / "0007" / "ori.jpg")
    image(tmp_path / "0007" / "out.jpg")
    (tmp_path / "0007" / "meta.json").write_text('{"prompt": "three people"}')
    (tmp_path / "0008").mkdir()
    good, bad = read_cases(tmp_path, "theirs")
    assert [person.references[0].name for person in good.people] == [
        "ref_1.jpg",
        "ref_2.jpg",
        "ref_10.jpg",
    ]
    assert (good.id, good.system, good.prompt) == ("0007", "theirs", "three people")
    assert (good.result.name, good.truth) == ("out.jpg", tmp_path / "0007" / "ori.jpg")
    assert all(person.point is None for person in good.people)
    assert "meta.json" in str(bad.problem)


def test_index_of_multiid_bench(tmp_path):
    folder = tmp_path / "p2" / "untar"
    image(folder / "0003.jpg", (100, 50))
    (folder / "0003.json").write_text('{"bboxes": [[0, 0, 20, 20], [60, 10, 80, 30]]}')
    entry = {"prompt": "two", "image_paths": ["0003_1.jpg", "0003_2.jpg"]}
    (tmp_path / "p2.json").write_text(json.dumps([entry | {"ori_img_path": "0003.jpg"}]))
    image(tmp_path / "out" / "0003" / "out.jpg")
    (case,) = read_cases(tmp_path / "p2.json", results=tmp_path / "out")
    assert [person.point for person in case.people] == [Point(10, 10), Point(70, 20)]
    assert (case.size, case.truth) == ((100, 50), folder / "0003.jpg")
    assert case.result == tmp_path / "out" / "0003" / "out.jpg"
    assert case.people[1].references == (folder / "0003_2.jpg",)


def test_index_of_multiid_bench_with_nested_photographs(tmp_path):
    image(tmp_path / "p3" / "num_3" / "0009.jpg")
    entry = {"prompt": "", "image_paths": ["refs/person_1/0009_1.jpg"], "name": ["person_1"]}
    (tmp_path / "p3.json").write_text(json.dumps([entry | {"ori_img_path": "num_3/0009.jpg"}]))
    (case,) = read_cases(tmp_path / "p3.json", results=tmp_path / "out")
    assert case.id == "num_3_0009"
    assert case.people[0].references == (tmp_path / "p3" / "refs/person_1/0009_1.jpg",)
    assert case.people[0].point is None


def test_metadata_of_multihuman_testbench(tmp_path):
    image(tmp_path / "data" / "faces" / "ffhq_1.jpg")
    entries = [
        {"people": ["data/faces/ffhq_1.jpg", "data/faces/ffhq_2.jpg"], "prompt": "Two people."},
        {"people": "broken"},
    ]
    path = tmp_path / "data" / "multihuman_metadata.json"
    path.write_text(json.dumps(entries))
    image(tmp_path / "out" / "0.png")
    first, second = read_cases(path, "theirs", results=tmp_path / "out")
    assert [person.references[0] for person in first.people] == [
        tmp_path / "data/faces/ffhq_1.jpg",
        tmp_path / "data/faces/ffhq_2.jpg",
    ]
    assert (first.id, first.result) == ("0", tmp_path / "out" / "0.png")
    assert "list of people" in str(second.problem)


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
