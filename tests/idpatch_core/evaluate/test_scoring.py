import json
import math
import shutil

import numpy as np
import pytest
from photos import compose, read_photos, save, write_volume
from PIL import Image
from scorers import fetch_recogniser

from idpatch_core.evaluate.cases import read_cases
from idpatch_core.evaluate.record_store import SavedRecords, SelectedRecords
from idpatch_core.evaluate.scoring import (
    Evaluators,
    References,
    fingerprint_case,
    read_assignment,
    read_image_file,
    read_tallies,
    score_case,
    score_cases,
)
from idpatch_core.face_detector import YuNet
from idpatch_core.verification import metrics
from idpatch_core.verification.scorer import load_scorer

PHOTOS = read_photos()
EVALUATORS = Evaluators("YuNet", YuNet().detect, load_scorer(fetch_recogniser()))


@pytest.fixture
def folder(tmp_path):
    write_volume(tmp_path, PHOTOS, count=6, images=6)
    return tmp_path


def score_first(folder, **changes):
    case = read_cases(folder)[0]._replace(**changes)
    return score_case(case, EVALUATORS, References(EVALUATORS))


def test_a_record_is_json_and_gives_the_same_tallies_back(folder):
    record = json.loads(json.dumps(score_first(folder), allow_nan=False))
    assignment = read_assignment(record)
    assert metrics.association_accuracy(assignment).count == len(record["names"])
    assert read_tallies(record, 0.35)["association_accuracy"] == metrics.association_accuracy(
        assignment
    )
    assert record["verdict"]["metrics"]["hungarian_similarity"] == pytest.approx(
        metrics.hungarian_similarity(assignment).value
    )


def test_points_follow_the_size_of_the_result(folder):
    case = read_cases(folder)[0]
    image = Image.open(case.result)
    small = score_first(folder, size=image.size)
    image.resize((image.width * 2, image.height * 2)).save(folder / "large.png")
    large = score_first(folder, size=image.size, result=folder / "large.png")
    assert large["verdict"]["face_indices"].count(None) == small["verdict"]["face_indices"].count(
        None
    )
    x, y = small["verdict"]["people"][-1]["point"]
    assert large["verdict"]["people"][-1]["point"] == [2 * x, 2 * y]


def test_points_of_a_cropped_result_are_not_known(folder):
    record = score_first(folder, size=(100, 100))
    assert "cropped?" in record["note"]
    assert record["placed"] == [False] * len(record["names"])
    assert read_tallies(record, 0.35)["association_accuracy"].count == 0
    assert read_tallies(record, 0.35)["hungarian_similarity"].count == len(record["names"])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("results/0.png", None, "missing"),
        ("results/0.png", b"", "broken"),
        ("results/0.png", b"\x89PNG\r\n\x1a\n torn", "broken"),
        ("results/0.png", b"\0\0\0\x18ftypheic", "HEIC image, which is not read here. Save it as"),
        ("{reference}", None, "missing"),
        ("{reference}", b"nothing", "broken"),
        ("{reference}", "grey", "no face found"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_counts_as_failure(folder, name, content, reason):
    case = read_cases(folder)[0]
    file = folder / name.format(reference=case.people[0].references[0].name)
    if content is None:
        file.unlink()
    elif content == "grey":
        Image.new("RGB", (64, 64), (128, 128, 128)).save(file)
    else:
        file.write_bytes(content)
    record = score_first(folder)
    assert record["problem"]["file"] == str(file)
    assert reason in record["problem"]["reason"]
    people = len(case.people)
    assert read_tallies(record, 0.35)["association_accuracy"] == (0, people)
    assert read_tallies(record, 0.35)["face_similarity"] == (0, people)
    assert read_tallies(record, 0.35)["count_accuracy"] == (0, 1)


def test_a_reference_that_is_all_face_is_padded(folder):
    case = read_cases(folder)[0]
    path = case.people[0].references[0]
    photograph = read_image_file(path)
    left, top, right, bottom = (int(v) for v in EVALUATORS.detect(photograph)[0].box)
    save(path, photograph[top:bottom, left:right])
    assert "problem" not in score_first(folder)


def test_several_photos_of_a_person_are_averaged(folder):
    case = read_cases(folder)[0]
    person = case.people[0]
    other = folder / "other.jpg"
    save(other, PHOTOS[f"{person.name}_2"])
    both = (*person.references, other)
    case = case._replace(people=(person._replace(references=both), *case.people[1:]))
    references = References(EVALUATORS)
    rows = [references._embed_once(path) for path in both]
    mean = (rows[0] + rows[1]) / np.linalg.norm(rows[0] + rows[1])
    assert references.embed(case)[0] == pytest.approx(mean, abs=1e-6)


def test_copy_paste_against_the_angles(tmp_path):
    # The "truth" shows the second photographs, the result a copy of the reference and of the truth.
    names = ["ardern", "macron"]
    truth = compose([PHOTOS[f"{name}_2"] for name in names])
    made = compose([PHOTOS["ardern_1"], PHOTOS["macron_2"]])
    save(tmp_path / "truth.png", truth.image)
    save(tmp_path / "made.png", made.image)
    people = []
    for name, point in zip(names, made.points, strict=True):
        save(tmp_path / f"{name}.png", PHOTOS[f"{name}_1"])
        people.append({"references": [f"{name}.png"], "point": list(point)})
    row = {"people": people, "result": "made.png", "ground_truth": "truth.png"}
    (tmp_path / "cases.jsonl").write_text(json.dumps(row))
    record = score_first(tmp_path)
    copied, natural = record["copy_paste"]
    assert 0.4 < copied < 1.1  # the crop differs a little from the reference's
    assert natural == pytest.approx(-1, abs=0.15)
    (to_truth, same), (to_reference, other) = (
        record["truth_similarity"],
        record["reference_similarity"],
    )
    assert to_reference > 0.9 > to_truth  # Ardern's is the reference
    assert same > 0.95 > other  # Macron's is the truth
    similarity = record["verdict"]["similarity"]
    faces = record["verdict"]["face_indices"]
    assert to_reference == pytest.approx(similarity[0][faces[0]], abs=1e-4)
    assert read_tallies(record, 0.35)["truth_similarity"] == (to_truth + same, 2)


def test_copy_paste_needs_a_truth_with_each_person(folder):
    save(folder / "truth.png", np.zeros((64, 64, 3), np.uint8))
    record = score_first(folder, truth=folder / "truth.png")
    assert record["copy_paste"] == []
    assert math.isnan(read_tallies(record, 0.35)["copy_paste"].value)


def test_clip_similarity_is_kept_for_each_case(folder):
    def similarity(image, text):
        return len(text) / 100

    case = read_cases(folder)[0]._replace(prompt="a prompt")
    evaluators = EVALUATORS._replace(clip=similarity, clip_name="counting letters")
    record = score_case(case, evaluators, References(evaluators))
    assert read_tallies(record, 0.35)["clip"] == (0.08, 1)
    assert evaluators.settings["clip"] == "counting letters"


def test_nothing_is_scored_twice(folder):
    cases = read_cases(folder)
    first = list(score_cases(cases, EVALUATORS, folder / "out"))

    def refuse(_):
        raise AssertionError("scored again")

    blind = EVALUATORS._replace(detect=refuse)
    assert list(score_cases(cases, blind, folder / "out")) == first
    saved = SavedRecords(folder / "out")
    assert len(saved) == len(cases)
    chosen = SelectedRecords(saved, [record["key"] for record in first[::-2]])
    assert list(chosen) == first[::-2]
    assert list(chosen[1:]) == first[::-2][1:]


def test_a_changed_image_or_setting_is_scored_again(folder):
    cases = read_cases(folder)
    before = [fingerprint_case(case, EVALUATORS.settings) for case in cases]
    shutil.copy(folder / "results/1.png", folder / "results/0.png")
    after = [fingerprint_case(case, EVALUATORS.settings) for case in cases]
    assert [a == b for a, b in zip(after, before, strict=True)] == [False, *[True] * 5]
    stricter = EVALUATORS._replace(scorer=EVALUATORS.scorer._replace(threshold=0.5))
    assert set(after).isdisjoint(fingerprint_case(case, stricter.settings) for case in cases)


def test_a_missing_image_is_scored_when_it_has_come(folder):
    file = folder / "results/0.png"
    content = file.read_bytes()
    file.unlink()
    assert "problem" in next(iter(score_cases(read_cases(folder), EVALUATORS, folder / "out")))
    file.write_bytes(content)
    assert "problem" not in next(iter(score_cases(read_cases(folder), EVALUATORS, folder / "out")))


def test_an_unexpected_error_costs_its_image_and_is_tried_again(folder):
    cases = read_cases(folder)
    bad = read_image_file(cases[2].result)

    def detect(image):
        if np.array_equal(image, bad):
            raise MemoryError("no room")
        return EVALUATORS.detect(image)

    failing = EVALUATORS._replace(detect=detect)
    records = list(score_cases(cases, failing, folder / "out"))
    problems = [record.get("problem") for record in records]
    assert problems[2] == {
        "file": str(cases[2].result),
        "reason": "unexpected error (MemoryError: no room)",
    }
    assert [problem is None for problem in problems] == [n != 2 for n in range(6)]
    assert read_tallies(records[2], 0.35)["count_accuracy"] == (0, 1)
    again = list(score_cases(cases, EVALUATORS, folder / "out"))
    assert "problem" not in again[2]
    assert again[:2] + again[3:] == records[:2] + records[3:]
    assert SavedRecords(folder / "out")[again[2]["key"]] == again[2]
    # The failed record of another process, which is read later, does not replace the good one.
    shutil.copy(folder / "out/scores-0000.jsonl", folder / "out/scores-0001.jsonl")
    with (folder / "out/scores-0001.jsonl").open("a") as file:
        file.write(json.dumps(records[2]) + "\n")
    assert SavedRecords(folder / "out")[again[2]["key"]] == again[2]


def test_a_16_bit_grey_image_is_not_white(folder):
    case = read_cases(folder)[0]
    grey = np.asarray(Image.open(case.people[0].references[0]).convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "grey.png")
    person = case.people[0]._replace(references=(folder / "grey.png",))
    assert "problem" not in score_first(folder, people=(person, *case.people[1:]))
