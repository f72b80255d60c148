import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from verified import (
    HINT,
    MISSING,
    PEOPLE,
    RIGHT,
    SWAPPED,
    THREE,
    load_independent_scorer,
    verify_identities,
)


@pytest.fixture(scope="module")
def scorer(comfy):
    return load_independent_scorer(comfy)


def test_each_person_correct(comfy, scorer):
    report, text, annotated, accuracy, all_correct = verify_identities(comfy, scorer, RIGHT).result
    assert (accuracy, all_correct) == (1.0, True)
    assert annotated.shape == RIGHT.shape
    assert annotated.dtype == torch.float32
    assert "3 of 3 people at their placement" in report
    assert "Scored by fr_feature; faces found by yunet." in report
    content = json.loads(text)
    assert (content["scorer"], content["accuracy"], content["all_correct"]) == (
        "fr_feature",
        1.0,
        True,
    )
    assert [person["name"] for person in content["images"][0]["people"]] == THREE


def test_a_batch_is_checked_image_by_image(comfy, scorer):
    output = verify_identities(comfy, scorer, torch.cat([SWAPPED, RIGHT, MISSING]))
    report, text, annotated, accuracy, all_correct = output.result
    assert (accuracy, all_correct) == (pytest.approx((1 + 3 + 2) / 9), False)
    assert report.splitlines()[0] == "1 of 3 images show each person at their placement."
    assert [image["all_correct"] for image in json.loads(text)["images"]] == [
        False,
        True,
        False,
    ]
    assert len(annotated) == len(output.ui["images"]) == 3


def shown_pixels(file: dict[str, str]) -> np.ndarray:
    import folder_paths

    path = Path(folder_paths.get_temp_directory(), file["filename"])
    return np.array(Image.open(path).convert("RGB"))


def test_the_node_shows_each_person_beside_the_face_found(comfy, scorer):
    output = verify_identities(comfy, scorer, torch.cat([SWAPPED, MISSING]))
    records = json.loads(output.result[1])["images"]
    (report,) = output.ui["idpatch_verdicts"]
    assert report["scorer"] == "fr_feature"
    for shown, record in zip(report["images"], records, strict=True):
        assert shown["all_correct"] == record["all_correct"]
        for person, one, findings in zip(shown["people"], PEOPLE, record["people"], strict=True):
            assert {key: person[key] for key in ("name", "similarity", "correct", "verdict")} == {
                key: findings[key] for key in ("name", "similarity", "correct", "verdict")
            }
            assert np.array_equal(shown_pixels(person["reference"]), one.crop)
            assert (person["face"] is None) == (findings["similarity"] is None)
    found = [person["face"] for person in report["images"][0]["people"]]
    crops = torch.from_numpy(np.stack([shown_pixels(face) for face in found])).numpy()
    similarity = (
        scorer.scorer.embed(crops) @ scorer.scorer.embed(np.stack([one.crop for one in PEOPLE])).T
    )
    expected = [one["similarity"] for one in report["images"][0]["people"]]
    assert np.diag(similarity) == pytest.approx(expected, abs=1e-3)


def test_warnings_are_shown(comfy, scorer):
    output = verify_identities(comfy, scorer, RIGHT, [PEOPLE[1], PEOPLE[0], PEOPLE[2]])
    assert output.ui["idpatch_warnings"] == json.loads(output.result[1])["warnings"] != []


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_that_lies_or_hangs_upside_down_is_recognised(comfy, scorer, turns):
    point = HINT.points[1]
    assert point is not None
    image, x, y = RIGHT.clone(), round(point.x), round(point.y)
    size = 75  # about the face, and clear of the people beside it
    part = image[:, y - size : y + size, x - size : x + size]
    image[:, y - size : y + size, x - size : x + size] = part.rot90(turns, (1, 2)).clone()
    report, text, _, accuracy, _ = verify_identities(comfy, scorer, image).result
    assert accuracy == 1, report
    left, top, right, bottom = json.loads(text)["images"][0]["people"][1]["box"]
    assert left < x < right and top < y < bottom


def test_an_enlarged_image_is_checked_at_the_enlarged_points(comfy, scorer):
    large = RIGHT.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert verify_identities(comfy, scorer, large).result[4] is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": RIGHT[:, :, :300]}, "image: it is 300x"),
        ({"people": PEOPLE[:2]}, "id_hint: it places 3 people, identities holds 2 people"),
        ({"people": []}, "identities: the list is empty"),
        (
            {"people": [*PEOPLE[:2], PEOPLE[2]._replace(crop=None)]},
            "identities: obama came without",
        ),
    ],
)
def test_what_does_not_belong_together(comfy, scorer, change, message):
    with pytest.raises(ValueError, match=message):
        verify_identities(comfy, scorer, **{"image": RIGHT, **change})


def test_people_in_another_order_than_the_hint_are_warned_of(comfy, scorer):
    text = verify_identities(comfy, scorer, RIGHT, [PEOPLE[1], PEOPLE[0], PEOPLE[2]]).result[1]
    assert "id_hint: it was made for ardern, macron, obama" in json.loads(text)["warnings"][0]


def test_without_placements_there_is_no_success(comfy, scorer):
    hint = HINT._replace(points=(None, None, None))
    output = verify_identities(comfy, scorer, RIGHT, hint=hint).result
    assert output[3:] == (0.0, False)
    with pytest.raises(ValueError, match="no person in it has a placement"):
        comfy.nodes.report.IDPatchPickBest.execute(RIGHT, output[1])


def test_pixels_outside_the_range_are_clamped(comfy, scorer):
    report = verify_identities(comfy, scorer, RIGHT * 1.2 - 0.05).result[0]
    assert "people at their placement" in report
    assert np.isfinite(verify_identities(comfy, scorer, RIGHT * 3).result[2].numpy()).all()
