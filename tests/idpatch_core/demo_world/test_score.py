"""The score: high for the drawings themselves, low for swapped people."""

import json
from pathlib import Path

import pytest
from PIL import Image

from idpatch_core.arcface import load_arcface
from idpatch_core.demo_world.scenes import draw_scene
from idpatch_core.demo_world.score import (
    DEMO_SCORER,
    SELF_TEST_WORKFLOW,
    find_detectable_people,
    make_case,
    make_template,
    plan_test_scene,
    score_results,
    summarise_scores,
)

PEOPLE = list(range(30000, 30040))


def write_drawings(folder: Path, swapped: bool) -> Path:
    """Write drawings as results of `generate`; `swapped` names each person as the next one."""
    lines = []
    for index in range(20):
        plan = plan_test_scene(PEOPLE, 3, 0, index)
        row = make_case(plan, str(index), index, folder, pose_free=False)
        Image.fromarray(draw_scene(plan)[0]).save(folder / f"{index}.png")
        if swapped:
            names = [person["name"] for person in row["people"]]
            for person, name in zip(row["people"], names[1:] + names[:1], strict=True):
                person["name"] = name
        lines.append(json.dumps({**row, "result": f"{index}.png"}) + "\n")
    (folder / "results.jsonl").write_text("".join(lines), "utf-8")
    return folder


@pytest.mark.parametrize("swapped", [False, True])
def test_drawings_score_high_and_swapped_people_low(tmp_path: Path, swapped: bool):
    results = write_drawings(tmp_path, swapped)
    figures = summarise_scores(*score_results(results, load_arcface(DEMO_SCORER).float()))
    assert figures["images"] == 20
    share, low, high = figures["association"]
    assert low <= share <= high
    assert share < 0.1 if swapped else share > 0.9


def test_a_case_has_its_people_from_left_to_right(tmp_path: Path):
    plan = plan_test_scene(PEOPLE, 4, 1, 7)
    row = make_case(plan, "7", 1007, tmp_path, pose_free=False)
    noses = [person["point"][0] for person in row["people"]]
    assert noses == sorted(noses)
    assert len(row["pose"][0]["people"]) == 4
    assert "pose" not in make_case(plan, "7", 1007, tmp_path, pose_free=True)


def test_the_workflow_has_a_pose_unless_pose_free():
    for pose_free in (False, True):
        graph = make_template(SELF_TEST_WORKFLOW, pose_free)
        (placer,) = (n for n in graph.values() if n["class_type"] == "IDPatchPlacer")
        assert ("pose_keypoint" in placer["inputs"]) != pose_free
        (saver,) = (n for n in graph.values() if n["class_type"] == "SaveImage")
        assert graph[saver["inputs"]["images"][0]]["class_type"] == "VAEDecode"


@pytest.mark.parametrize("unguided", [False, True])
def test_the_workflow_guides_patches_unless_unguided(unguided: bool):
    graph = make_template(SELF_TEST_WORKFLOW, pose_free=False, unguided=unguided)
    (sampler,) = (n for n in graph.values() if n["class_type"] == "IDPatchSampler")
    assert sampler["inputs"]["guide_patches"] != unguided


def test_only_people_with_a_detected_face_are_used(tmp_path: Path):
    people = find_detectable_people(tmp_path, 30000, 30010)
    assert 0 < len(people) <= 10
    assert all((tmp_path / f"{number}.png").is_file() for number in people)
    assert find_detectable_people(tmp_path, 0, 0) == people  # kept
