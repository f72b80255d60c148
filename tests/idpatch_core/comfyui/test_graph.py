import json
from pathlib import Path

import pytest

from idpatch_core.comfyui.graph import fill, of_class, only
from idpatch_core.layout import Point

WORKFLOWS = Path(__file__).parents[3] / "workflows" / "api"
TWO = [("Ada", ["ada.png"]), ("Ben", ["ben.png"])]


def template(name="group_photo"):
    return json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))


def chain(graph):
    """The names and photographs of the people, in the order that the builder gets them."""
    people, link = [], only(graph, "IDPatchBuilder")["inputs"].get("identities")
    while link:
        encoder = graph[link[0]]["inputs"]
        people.insert(0, (encoder["name"], graph[encoder["image"][0]]))
        link = encoder.get("identities")
    return people


@pytest.mark.parametrize("name", sorted(path.stem for path in WORKFLOWS.glob("*.json")))
@pytest.mark.parametrize("count", [1, 2, 5])
def test_everybody_is_encoded_in_order_in_every_bundled_workflow(name, count):
    people = [(f"P{i}", [f"{i}.png"]) for i in range(count)]
    graph = fill(template(name), people, None, "words")
    found = [(name, node["inputs"]["image"]) for name, node in chain(graph)]
    assert found == [(name, photographs[0]) for name, photographs in people]
    assert len(of_class(graph, "IDPatchFaceEncoder")) == count
    for node in graph.values():  # no link into nothing
        for value in node["inputs"].values():
            if isinstance(value, list):
                assert value[0] in graph


def test_the_template_stays_as_it_was():
    before = template()
    graph = template()
    fill(graph, TWO, [Point(1, 2), None], "words", "bad", 5, (640, 512), "base.png", "there")
    assert graph == before


def test_places_words_seed_and_size():
    graph = fill(
        template(), TWO, [Point(1.5, 2), None], "words", "bad", 5, (640, 512), None, "there"
    )
    placer = only(graph, "IDPatchPlacer")["inputs"]
    assert json.loads(placer["placements"]) == [{"x": 1.5, "y": 2}, None]
    assert (placer["arrangement"], placer["width"], placer["height"]) == ("placements", 640, 512)
    sampler = only(graph, "IDPatchSampler")["inputs"]
    assert graph[sampler["positive"][0]]["inputs"]["text"] == "words"
    assert graph[sampler["negative"][0]]["inputs"]["text"] == "bad"
    assert sampler["seed"] == 5
    assert only(graph, "SaveImage")["inputs"]["filename_prefix"] == "there"


def test_what_is_not_given_stays():
    before = template()
    graph = fill(before, TWO, None, "words")
    sampler = only(graph, "IDPatchSampler")["inputs"]
    assert sampler["seed"] == only(before, "IDPatchSampler")["inputs"]["seed"]
    negative = sampler["negative"][0]
    assert graph[negative]["inputs"]["text"] == before[negative]["inputs"]["text"]
    assert only(graph, "IDPatchPlacer")["inputs"]["arrangement"] == "auto"


def test_words_reach_the_encoders_through_the_composable_nodes():
    graph = fill(template("group_photo_composable"), TWO, None, "words", "bad")
    texts = {
        node["inputs"]["text"] for node in graph.values() if node["class_type"] == "CLIPTextEncode"
    }
    assert texts == {"words", "bad"}
    injector = only(graph, "IDPatchTokenInjector")["inputs"]
    assert graph[injector["positive"][0]]["inputs"]["text"] == "words"


def test_several_photographs_of_a_person_are_one_batch():
    graph = fill(template(), [("Ada", ["1.png", "2.png", "3.png"])], None, "words")
    ((_, batch),) = chain(graph)
    assert batch["class_type"] == "ImageBatch"
    used = [node["inputs"]["image"] for node in graph.values() if node["class_type"] == "LoadImage"]
    assert used == ["1.png", "2.png", "3.png"]


def test_as_many_people_stand_in_the_built_in_pose():
    three = [*TWO, ("Cy", ["cy.png"])]
    assert (
        only(fill(template(), three, None, ""), "IDPatchLoadPose")["inputs"]["pose"] == "standing_3"
    )
    seven = [(f"P{i}", [f"{i}.png"]) for i in range(7)]
    graph = fill(template(), seven, None, "")
    assert "pose_keypoint" not in only(graph, "IDPatchPlacer")["inputs"]
    assert of_class(graph, "IDPatchLoadPose") == []


def test_a_base_picture_replaces_the_pose():
    graph = fill(template(), TWO, [Point(1, 2), Point(3, 4)], "", base_image="pose.png")
    placer = only(graph, "IDPatchPlacer")["inputs"]
    assert graph[placer["base_image"][0]]["inputs"]["image"] == "pose.png"
    assert "pose_keypoint" not in placer
    assert of_class(graph, "IDPatchLoadPose") == []


@pytest.mark.parametrize("kind", ["IDPatchPlacer", "IDPatchBuilder", "IDPatchFaceEncoder"])
def test_another_workflow_is_refused(kind):
    graph = {id: node for id, node in template().items() if node["class_type"] != kind}
    with pytest.raises(ValueError, match=kind):
        fill(graph, TWO, None, "words")
