import json

import pytest

from idpatch_core.comfyui.graph import find_nodes, inputs_of
from idpatch_core.comfyui.group_photo import (
    PersonPhotos,
    add_standing_pose,
    clear_placements,
    fill_template,
    has_pose,
    save_decoded_images,
    set_models,
    set_people,
    set_seed,
    set_size,
    set_steps,
    size_of,
)
from idpatch_core.comfyui.workflows import TITLES, api_file, read_graph
from idpatch_core.layout import Point

NAMES = sorted(TITLES)
CHAINED = [
    "demo_best_of_four",
    "describe_people",
    "group_photo_composable",
    "refine",
    "region_gate",
    "second_pass",
    "self_test",
    "until_right",
]
IN_ONE_NODE = sorted(set(NAMES) - set(CHAINED))
TWO = [PersonPhotos("Ada", ["ada.png"]), PersonPhotos("Ben", ["ben.png"])]


def template(name="group_photo"):
    return read_graph(api_file(name))


def chain(graph):
    """The names and photos of the people, in the order that the builder gets them."""
    people, link = [], inputs_of(graph, "IDPatchBuilder").get("identities")
    while link:
        encoder = graph[link[0]]["inputs"]
        people.insert(0, (encoder["name"], graph[encoder["image"][0]]))
        link = encoder.get("identities")
    return people


def written_people(graph):
    return json.loads(inputs_of(graph, "IDPatchPeople")["people"])


@pytest.mark.parametrize("name", IN_ONE_NODE)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_people_node_has_each_person_in_order(name, count):
    people = [PersonPhotos(f"P{i}", [f"{i}.png", "more.png"]) for i in range(count)]
    graph = fill_template(template(name), people, None, "words")
    assert written_people(graph) == [
        {"name": name, "photos": list(photos)} for name, photos in people
    ]
    (node,) = find_nodes(graph, "IDPatchPeople")
    assert inputs_of(graph, "IDPatchBuilder")["identities"] == [node, 0]
    assert find_nodes(graph, "LoadImage") == find_nodes(graph, "IDPatchFaceEncoder") == []


def test_the_people_node_keeps_its_names_and_loses_its_links():
    graph = template()
    names = [person["name"] for person in written_people(graph)]
    inputs_of(graph, "IDPatchPeople").update(images=["9", 0], identities=["9", 0])
    set_people(graph, [PersonPhotos(None, [f"{i}.png"]) for i in range(len(names) + 1)])
    assert [person["name"] for person in written_people(graph)] == [*names, "Person 3"]
    assert set(inputs_of(graph, "IDPatchPeople")) == {"face_model", "people", "min_face_size"}


@pytest.mark.parametrize("name", CHAINED)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_person_is_encoded_in_order_in_every_other_workflow(name, count):
    people = [PersonPhotos(f"P{i}", [f"{i}.png"]) for i in range(count)]
    graph = fill_template(template(name), people, None, "words")
    found = [(name, node["inputs"]["image"]) for name, node in chain(graph)]
    assert found == [(name, photos[0]) for name, photos in people]
    assert len(find_nodes(graph, "IDPatchFaceEncoder")) == count
    for node in graph.values():  # no link to a missing node
        for value in node["inputs"].values():
            if isinstance(value, list):
                assert value[0] in graph


def test_the_template_stays_as_it_was():
    before = template()
    graph = template()
    fill_template(
        graph, TWO, [Point(1, 2), None], "words", "bad", 5, (640, 512), "base.png", "prefix"
    )
    assert graph == before


def test_placements_texts_seed_and_size():
    graph = fill_template(
        template(), TWO, [Point(1.5, 2), None], "words", "bad", 5, (640, 512), None, "prefix"
    )
    placer = inputs_of(graph, "IDPatchPlacer")
    assert json.loads(placer["placements"]) == [{"x": 1.5, "y": 2}, None]
    assert (placer["arrangement"], placer["width"], placer["height"]) == ("placements", 640, 512)
    sampler = inputs_of(graph, "IDPatchSampler")
    assert graph[sampler["positive"][0]]["inputs"]["text"] == "words"
    assert graph[sampler["negative"][0]]["inputs"]["text"] == "bad"
    assert sampler["seed"] == 5
    assert inputs_of(graph, "SaveImage")["filename_prefix"] == "prefix"


def test_what_is_not_given_stays():
    before = template()
    graph = fill_template(before, TWO, None, "words")
    sampler = inputs_of(graph, "IDPatchSampler")
    assert sampler["seed"] == inputs_of(before, "IDPatchSampler")["seed"]
    negative = sampler["negative"][0]
    assert graph[negative]["inputs"]["text"] == before[negative]["inputs"]["text"]
    assert inputs_of(graph, "IDPatchPlacer")["arrangement"] == "auto"


def test_texts_reach_the_encoders_through_the_composable_nodes():
    graph = fill_template(template("group_photo_composable"), TWO, None, "words", "bad")
    texts = {
        node["inputs"]["text"] for node in graph.values() if node["class_type"] == "CLIPTextEncode"
    }
    assert texts == {"words", "bad"}
    injector = inputs_of(graph, "IDPatchTokenInjector")
    assert graph[injector["positive"][0]]["inputs"]["text"] == "words"


def test_several_photos_of_a_person_are_one_batch():
    graph = fill_template(
        template("group_photo_composable"),
        [PersonPhotos("Ada", ["1.png", "2.png", "3.png"])],
        None,
        "words",
    )
    ((_, batch),) = chain(graph)
    assert batch["class_type"] == "ImageBatch"
    used = [node["inputs"]["image"] for node in graph.values() if node["class_type"] == "LoadImage"]
    assert used == ["1.png", "2.png", "3.png"]


def test_as_many_people_stand_in_the_built_in_pose():
    three = [*TWO, PersonPhotos("Cy", ["cy.png"])]
    posed = template("group_photo_best_of_four")
    assert inputs_of(posed, "IDPatchLoadPose")["pose"] == "standing_2"
    graph = fill_template(posed, three, None, "")
    assert inputs_of(graph, "IDPatchLoadPose")["pose"] == "standing_3"
    thirteen = [PersonPhotos(f"P{i}", [f"{i}.png"]) for i in range(13)]
    graph = fill_template(posed, thirteen, None, "")
    assert "pose_keypoint" not in inputs_of(graph, "IDPatchPlacer")
    assert find_nodes(graph, "IDPatchLoadPose") == []


def test_a_base_image_replaces_the_pose():
    posed = template("group_photo_best_of_four")
    graph = fill_template(posed, TWO, [Point(1, 2), Point(3, 4)], "", base_image="pose.png")
    placer = inputs_of(graph, "IDPatchPlacer")
    assert graph[placer["base_image"][0]]["inputs"]["image"] == "pose.png"
    assert "pose_keypoint" not in placer
    assert find_nodes(graph, "IDPatchLoadPose") == []


@pytest.mark.parametrize("kind", ["IDPatchPlacer", "IDPatchBuilder", "IDPatchPeople"])
def test_another_workflow_is_refused(kind):
    graph = {id: node for id, node in template().items() if node["class_type"] != kind}
    with pytest.raises(ValueError, match=kind):
        fill_template(graph, TWO, None, "words")


@pytest.mark.parametrize("name", CHAINED)
def test_people_keep_the_nodes_and_names_of_the_workflow(name):
    before, graph = template(name), template(name)
    count = len(find_nodes(before, "IDPatchFaceEncoder")) + 1
    set_people(graph, [PersonPhotos(None, [f"{i}.png"]) for i in range(count)])
    assert set(before) <= set(graph) and len(graph) == len(before) + 2
    names = [person for person, _ in chain(graph)]
    assert names == [person for person, _ in chain(before)] + [f"Person {count}"]
    loaders = [node for node in graph.values() if node["class_type"] == "LoadImage"]
    assert sorted(node["inputs"]["image"] for node in loaders) == [f"{i}.png" for i in range(count)]
    assert all(graph[id].get("_meta") == node.get("_meta") for id, node in before.items())


def test_an_image_that_two_people_share_is_not_replaced():
    graph = template("group_photo_composable")
    ada, ben = find_nodes(graph, "IDPatchFaceEncoder")
    graph[ben]["inputs"]["image"] = graph[ada]["inputs"]["image"]
    set_people(graph, TWO)
    assert [node["inputs"]["image"] for _, node in chain(graph)] == ["ada.png", "ben.png"]


def test_seed_and_steps_of_every_sampler():
    for name, kind in (("group_photo", "IDPatchSampler"), ("group_photo_composable", "KSampler")):
        graph = template(name)
        set_seed(graph, 7)
        set_steps(graph, 2)
        sampler = inputs_of(graph, kind)
        assert (sampler["seed"], sampler["steps"]) == (7, 2)


def test_the_size_reaches_placer_pose_and_latent():
    graph = template("group_photo_composable")
    assert size_of(graph) == (1024, 1024)
    set_size(graph, 640, 512)
    assert size_of(graph) == (640, 512)
    for kind in ("IDPatchPlacer", "IDPatchLoadPose", "EmptyLatentImage"):
        inputs = inputs_of(graph, kind)
        assert (inputs["width"], inputs["height"]) == (640, 512)


def test_cleared_placements_leave_the_arrangement_to_the_placer():
    graph = template("self_test")
    clear_placements(graph)
    placer = inputs_of(graph, "IDPatchPlacer")
    assert (placer["placements"], placer["arrangement"]) == ("", "auto")


def test_model_files_are_set_by_name():
    graph = template()
    set_models(graph, {"checkpoint": "a.safetensors", "face_model": "b.pth"})
    assert inputs_of(graph, "CheckpointLoaderSimple")["ckpt_name"] == "a.safetensors"
    assert inputs_of(graph, "IDPatchLoadFaceModel")["recognition"] == "b.pth"
    assert inputs_of(graph, "IDPatchLoadModel")["model_name"] == "id-patch.bin"


def test_decoded_images_are_saved_without_the_upscaling():
    graph = template("self_test")
    save_decoded_images(graph)
    (decoder,) = find_nodes(graph, "VAEDecode")
    assert inputs_of(graph, "SaveImage")["images"] == [decoder, 0]


def test_a_pose_is_added_to_a_workflow_without_one():
    graph = template("self_test")
    add_standing_pose(graph, 2, 192, 96)
    (pose,) = find_nodes(graph, "IDPatchLoadPose")
    assert inputs_of(graph, "IDPatchPlacer")["pose_keypoint"] == [pose, 0]
    assert graph[pose]["inputs"] == {"pose": "standing_2", "width": 192, "height": 96}


def test_poses_bodies_and_base_images_are_under_the_patches():
    posed = template("group_photo_best_of_four")
    assert has_pose(posed)
    assert has_pose(fill_template(posed, TWO, None, "", base_image="pose.png"))
    graph = template("group_photo")
    assert has_pose(graph)
    inputs_of(graph, "IDPatchPlacer")["bodies"] = "none"
    assert not has_pose(graph)
