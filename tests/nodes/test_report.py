import json

import pytest
import torch
from verified import MISSING, RIGHT, SWAPPED, load_independent_scorer, verify_identities


@pytest.fixture(scope="module")
def scorer(comfy):
    return load_independent_scorer(comfy)


def test_the_image_whose_least_similar_person_scores_highest_is_kept(comfy, scorer):
    batch = torch.cat([MISSING, SWAPPED, RIGHT])
    text = verify_identities(comfy, scorer, batch).result[1]
    image, index, score = comfy.nodes.report.IDPatchPickBest.execute(batch, text).result
    assert index == 2
    assert torch.equal(image, RIGHT)
    assert score == pytest.approx(min(json.loads(text)["images"][2]["scores"]))
    assert score > 0.35


def test_the_choice_is_explained(comfy, scorer):
    batch = torch.cat([MISSING, RIGHT])
    text = verify_identities(comfy, scorer, batch).result[1]
    output = comfy.nodes.report.IDPatchPickBest.execute(batch, text)
    missing, right = (image["people"] for image in json.loads(text)["images"])
    weakest = min(right, key=lambda person: person["similarity"])
    (gone,) = [person["name"] for person in missing if person["similarity"] is None]
    assert output.ui["idpatch_best"] == [
        {
            "index": 1,
            "reasons": [
                f"Image 1: no face of {gone} was found.",
                f"Image 2: the least similar person is {weakest['name']}, "
                f"{weakest['similarity']:.2f}.",
            ],
        }
    ]
    assert len(output.ui["images"]) == 1


def test_of_images_with_equal_lowest_scores_the_next_lowest_decide(comfy):
    def report(*scores):
        return json.dumps({"images": [{"scores": sorted(some)} for some in scores]})

    text = report([-1, 0.2, 0.9], [-1, 0.5, 0.5], [-1, -1, 0.99])
    batch = torch.zeros(3, 8, 8, 3)
    output = comfy.nodes.report.IDPatchPickBest.execute(batch, text)
    assert output.result[1:] == (1, -1.0)
    assert output.ui["idpatch_best"][0]["reasons"][0] == "Image 1: the lowest score is -1."


@pytest.mark.parametrize(
    "text",
    [
        *["", "{}", "[1]", '{"images": [{"scores": ["x"]}]}', "[" * 100_000],
        f'{{"images": [{{"scores": [1{"0" * 400}]}}]}}',
    ],
    ids=range(6),
)
def test_what_is_no_report(comfy, text):
    with pytest.raises(ValueError, match="report_json: it is not a report"):
        comfy.nodes.report.IDPatchPickBest.execute(RIGHT, text)


def test_a_report_of_another_batch(comfy, scorer):
    text = verify_identities(comfy, scorer, RIGHT).result[1]
    with pytest.raises(ValueError, match="covers 1 image, image holds 2"):
        comfy.nodes.report.IDPatchPickBest.execute(torch.cat([RIGHT, RIGHT]), text)


def test_reports_are_saved_and_numbered(comfy, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    saved = [
        comfy.nodes.report.IDPatchSaveReport.execute("✓ Zoë", "deep/report", '{"a": 1}').ui
        for _ in range(2)
    ]
    names = sorted(path.name for path in (tmp_path / "deep").iterdir())
    assert names == [f"report_0000{n}_{suffix}" for n in (1, 2) for suffix in (".json", ".txt")]
    assert (tmp_path / "deep" / "report_00002_.txt").read_text("utf-8") == "✓ Zoë\n"
    assert saved[1]["idpatch_report"][1]["filename"] == "report_00002_.json"
