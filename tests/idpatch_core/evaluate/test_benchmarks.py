import json

import pytest
from PIL import Image

from idpatch_core.evaluate.cases import read_cases
from idpatch_core.layout import Point


def image(path, size=(64, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


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


@pytest.mark.parametrize("entries", [[["image_paths"]], [{"a": 1}, 2], ["people"], [], {"a": 1}])
def test_another_file_is_refused(tmp_path, entries):
    (tmp_path / "p1.json").write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"p1\.json: (not the index|expected \"image_paths\")"):
        read_cases(tmp_path / "p1.json", results=tmp_path)


def test_metadata_of_multihuman_testbench(tmp_path):
    image(tmp_path / "data" / "faces" / "ffhq_1.jpg")
    entries = [
        {"people": ["data/faces/ffhq_1.jpg", "data/faces/ffhq_2.jpg"], "prompt": "Two people."},
        {"people": "broken"},
        {"people": [float("nan")]},
    ]
    path = tmp_path / "data" / "multihuman_metadata.json"
    path.write_text(json.dumps(entries))
    image(tmp_path / "out" / "0.png")
    first, second, third = read_cases(path, "theirs", results=tmp_path / "out")
    assert [person.references[0] for person in first.people] == [
        tmp_path / "data/faces/ffhq_1.jpg",
        tmp_path / "data/faces/ffhq_2.jpg",
    ]
    assert (first.id, first.result) == ("0", tmp_path / "out" / "0.png")
    assert "list of people" in str(second.problem)
    assert "multihuman_metadata.json, entry 2" in str(third.problem)
