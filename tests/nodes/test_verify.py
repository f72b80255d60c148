import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import compose, read_photos
from scorers import fetch_recogniser

from idpatch_core.alignment import align_face
from idpatch_core.canvas import Hint
from idpatch_core.face_detector import YuNet
from idpatch_core.identity import Identity

PHOTOS = read_photos()
THREE = ["ardern", "macron", "obama"]


def identity(name):
    photograph = PHOTOS[f"{name}_1"]
    crop = align_face(photograph, YuNet().detect(photograph)[0].keypoints)
    return Identity(name, torch.nn.functional.normalize(torch.ones(512), dim=0), crop)


PEOPLE = [identity(name) for name in THREE]


def picture(*shown):
    """A picture (1, H, W, 3) of these people, and the hint of THREE at those places."""
    group = compose([None if name is None else PHOTOS[f"{name}_2"] for name in shown])
    image = torch.from_numpy(group.image).float()[None] / 255
    hint = torch.zeros(1, 3, *group.image.shape[:2])
    return image, Hint(hint, hint, tuple(group.points), tuple(THREE))


RIGHT, HINT = picture(*THREE)
SWAPPED, _ = picture("macron", "ardern", "obama")
MISSING, _ = picture("ardern", None, "obama")


@pytest.fixture(scope="module")
def verify(comfy):
    return comfy.nodes.verify


@pytest.fixture(scope="module")
def scorer(comfy, verify):
    """The independent recogniser, found in the models folder by the node."""
    import folder_paths

    folder = folder_paths.get_folder_paths("idpatch")[0]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for file in (fetch_recogniser(), fetch_recogniser().with_name("fr_feature.onnx.json")):
        shutil.copy(file, folder)
    return verify.IDPatchLoadScorer.execute(verify.AUTOMATIC).result[0]


def run(verify, scorer, image, people=PEOPLE, hint=HINT):
    return verify.IDPatchVerify.execute(image, people, hint, scorer)


def test_the_independent_recogniser_is_the_first_choice(verify, scorer):
    assert (scorer.scorer.name, scorer.scorer.flatters, scorer.warning) == ("fr_feature", False, "")
    options = verify.IDPatchLoadScorer.define_schema().inputs[0].options
    assert options == [verify.AUTOMATIC, "fr_feature.onnx", verify.CONDITIONING]


def test_everybody_right(verify, scorer):
    report, text, annotated, accuracy, all_right = run(verify, scorer, RIGHT).result
    assert (accuracy, all_right) == (1.0, True)
    assert annotated.shape == RIGHT.shape
    assert annotated.dtype == torch.float32
    assert "3 of 3 people at their place" in report
    assert "Scored by fr_feature; faces found by yunet." in report
    content = json.loads(text)
    assert (content["scorer"], content["accuracy"], content["all_right"]) == (
        "fr_feature",
        1.0,
        True,
    )
    assert [person["name"] for person in content["pictures"][0]["people"]] == THREE


def test_a_batch_is_judged_picture_by_picture(verify, scorer):
    output = run(verify, scorer, torch.cat([SWAPPED, RIGHT, MISSING]))
    report, text, annotated, accuracy, all_right = output.result
    assert (accuracy, all_right) == (pytest.approx((1 + 3 + 2) / 9), False)
    assert report.splitlines()[0] == "1 of 3 pictures have everybody at their place."
    assert [picture["all_right"] for picture in json.loads(text)["pictures"]] == [
        False,
        True,
        False,
    ]
    assert len(annotated) == len(output.ui["images"]) == 3


def test_the_picture_whose_weakest_person_is_best_is_kept(verify, scorer):
    batch = torch.cat([MISSING, SWAPPED, RIGHT])
    text = run(verify, scorer, batch).result[1]
    image, index, score = verify.IDPatchPickBest.execute(batch, text).result
    assert index == 2
    assert torch.equal(image, RIGHT)
    assert score == pytest.approx(min(json.loads(text)["pictures"][2]["scores"]))
    assert score > 0.35


def test_of_pictures_with_equally_weak_people_the_next_weakest_decide(verify):
    def report(*scores):
        return json.dumps({"pictures": [{"scores": sorted(some)} for some in scores]})

    text = report([-1, 0.2, 0.9], [-1, 0.5, 0.5], [-1, -1, 0.99])
    batch = torch.zeros(3, 8, 8, 3)
    assert verify.IDPatchPickBest.execute(batch, text).result[1:] == (1, -1.0)


def test_an_enlarged_picture_is_judged_at_the_enlarged_places(verify, scorer):
    large = RIGHT.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert run(verify, scorer, large).result[4] is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": RIGHT[:, :, :300]}, "image: it is 300x"),
        ({"people": PEOPLE[:2]}, "id_hint: it places 3 people, identities holds 2"),
        ({"people": []}, "identities: the list is empty"),
        (
            {"people": [*PEOPLE[:2], PEOPLE[2]._replace(crop=None)]},
            "identities: obama came without",
        ),
    ],
)
def test_what_does_not_belong_together(verify, scorer, change, message):
    with pytest.raises(ValueError, match=message):
        run(verify, scorer, **{"image": RIGHT, **change})


def test_people_in_another_order_than_the_hint_are_warned_of(verify, scorer):
    text = run(verify, scorer, RIGHT, [PEOPLE[1], PEOPLE[0], PEOPLE[2]]).result[1]
    assert "the hint was made for ardern, macron, obama" in json.loads(text)["warnings"][0]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pictures": [{"scores": ["x"]}]}'])
def test_what_is_no_report(verify, text):
    with pytest.raises(ValueError, match="report_json: it is not a report"):
        verify.IDPatchPickBest.execute(RIGHT, text)


def test_a_report_of_another_batch(verify, scorer):
    text = run(verify, scorer, RIGHT).result[1]
    with pytest.raises(ValueError, match="judges 1 pictures, image holds 2"):
        verify.IDPatchPickBest.execute(torch.cat([RIGHT, RIGHT]), text)


def test_nobody_with_a_place_is_no_success(verify, scorer):
    hint = HINT._replace(points=(None, None, None))
    output = run(verify, scorer, RIGHT, hint=hint).result
    assert output[3:] == (0.0, False)
    with pytest.raises(ValueError, match="nobody in it has a place"):
        verify.IDPatchPickBest.execute(RIGHT, output[1])


def test_without_any_scorer_the_user_is_told(verify, monkeypatch):
    monkeypatch.setattr(verify, "scorer_files", dict)
    with pytest.raises(ValueError, match="scorer: there is no independent face recogniser"):
        verify.IDPatchLoadScorer.execute(verify.AUTOMATIC)


def test_the_conditioning_network_scores_with_a_warning(verify, comfy, monkeypatch):
    faces, networks = comfy.nodes.faces, comfy.nodes.model_management
    monkeypatch.setattr(verify, "scorer_files", dict)
    torch.manual_seed(0)
    network = networks.manage(comfy.idpatch_core.arcface.IRSE50())
    face_model = faces.FaceModel(network, YuNet(), "ir_se50.pth", "yunet")
    scorer = verify.IDPatchLoadScorer.execute(verify.AUTOMATIC, 0.5, face_model).result[0]
    assert (scorer.scorer.flatters, scorer.scorer.threshold) == (True, 0.5)
    report, text, *_ = run(verify, scorer, RIGHT).result
    assert "Warning: scored by ir_se50.pth, which also conditions: this flatters." in report
    assert json.loads(text)["flatters"] is True


def test_reports_are_saved_and_numbered(verify, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    saved = [
        verify.IDPatchSaveReport.execute("✓ Zoë", "deep/report", '{"a": 1}').ui for _ in range(2)
    ]
    names = sorted(path.name for path in (tmp_path / "deep").iterdir())
    assert names == [f"report_0000{n}_{suffix}" for n in (1, 2) for suffix in (".json", ".txt")]
    assert (tmp_path / "deep" / "report_00002_.txt").read_text("utf-8") == "✓ Zoë\n"
    assert saved[1]["idpatch_report"][1]["filename"] == "report_00002_.json"


def test_pixels_outside_the_range_are_clamped(verify, scorer):
    report = run(verify, scorer, RIGHT * 1.2 - 0.05).result[0]
    assert "people at their place" in report
    assert np.isfinite(run(verify, scorer, RIGHT * 3).result[2].numpy()).all()
