"""Every bundled workflow on a live ComfyUI, with stand-in models at a small size."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from live_workflow import PHOTOS, png_bytes, run_image, small_workflow
from PIL import Image

from idpatch_core.comfyui.client import ComfyClient
from idpatch_core.comfyui.errors import NodeError
from idpatch_core.comfyui.graph import Graph, find_node, inputs_of
from idpatch_core.comfyui.ui_format import to_ui
from idpatch_core.comfyui.workflows import TITLES, load_workflow
from idpatch_core.download import FILES

# Those that need no download.
DEMO = {"self_test", "demo_best_of_four", "region_gate", "describe_people", "until_right", "refine"}
DEMO |= {"second_pass"}
ROOT = Path(__file__).parents[2]
WORKFLOWS = ["group_photo", "group_photo_composable", "pose_free", "three_people_with_pose"]


def workflow(client: ComfyClient, name: str, *photos: str) -> Graph:
    return small_workflow(client, name, *(PHOTOS / photo for photo in photos))


def bundled(folder: str, ending: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / folder).glob(f"*.{ending}"))


def test_every_workflow_has_both_forms_and_a_thumbnail():
    assert set(WORKFLOWS) <= set(TITLES)
    assert bundled("workflows/api", "json") == sorted(TITLES)
    assert bundled("workflows", "json") == sorted(TITLES.values())
    assert bundled("workflows", "jpg") == sorted(TITLES.values())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_makes_a_run_image(comfy_server, name):
    photos = ["collins.jpg", "obama.jpg", "sunak.jpg"][: 3 if name.startswith("three") else 2]
    made = run_image(comfy_server.client, workflow(comfy_server.client, name, *photos))
    assert made.shape == (128, 192, 3)
    assert made.std() > 5


@pytest.mark.parametrize(
    ("name", "images"),
    [("region_gate", 2), ("describe_people", 1), ("until_right", 1), ("refine", 2)],
)
def test_a_workflow_of_the_demo_models_makes_its_images(comfy_server, name, images):
    graph, _ = load_workflow(name)
    files = comfy_server.client.run(graph).images()
    made = [Image.open(io.BytesIO(comfy_server.client.fetch(file))) for file in files]
    assert [one.size for one in made] == [(768, 384)] * images
    assert all(np.array(one).std() > 5 for one in made)
    assert len({one.tobytes() for one in made}) == images


def test_a_second_pass_enlarges_the_image(comfy_server):
    graph, _ = load_workflow("second_pass")
    files = comfy_server.client.run(graph).images()
    made = [Image.open(io.BytesIO(comfy_server.client.fetch(file))) for file in files]
    assert sorted(one.size for one in made) == [(192, 96), (288, 144)]
    small, large = (np.array(one.convert("RGB").resize((48, 24)), float) for one in made)
    # The same people at the same places, with new details.
    assert 1 < np.abs(small - large).mean() < 25


def test_the_same_seed_makes_the_same_run_image(comfy_server):
    graph = workflow(comfy_server.client, "group_photo", "collins.jpg", "obama.jpg")
    first = run_image(comfy_server.client, graph)
    inputs_of(graph, "IDPatchSampler")["seed"] = 2
    other = run_image(comfy_server.client, graph)
    inputs_of(graph, "IDPatchSampler")["seed"] = 1
    inputs_of(graph, "SaveImage")["filename_prefix"] = "again"
    assert np.array_equal(run_image(comfy_server.client, graph), first)
    assert not np.array_equal(other, first)


def test_another_person_makes_another_run_image(comfy_server):
    client = comfy_server.client
    a = run_image(client, workflow(client, "group_photo", "collins.jpg", "obama.jpg"))
    b = run_image(client, workflow(client, "group_photo", "collins.jpg", "sunak.jpg"))
    assert not np.array_equal(a, b)


def test_people_can_be_added_and_taken_away(comfy_server):
    client = comfy_server.client
    photos = ["collins.jpg", "obama.jpg", "sunak.jpg", "macron_2014.jpg"]
    for count in (1, 4):
        made = run_image(client, workflow(client, "group_photo", *photos[:count]))
        assert made.shape == (128, 192, 3)


def test_the_png_restores_the_graph(comfy_server):
    client = comfy_server.client
    graph = workflow(client, "group_photo", "collins.jpg", "obama.jpg")
    ui_form = to_ui(graph, client.object_info(), original=load_workflow("group_photo")[1])
    (file,) = client.run(graph, ui_form).images()
    png = Image.open(io.BytesIO(client.fetch(file)))
    assert json.loads(png.info["workflow"]) == ui_form
    inputs = {id: node["inputs"] for id, node in json.loads(png.info["prompt"]).items()}
    assert inputs == {id: node["inputs"] for id, node in graph.items()}


def values(ui_form: dict) -> list[tuple[str, list]]:
    """Return the titles and widgets of all nodes, those of subgraphs included."""
    subgraphs = {one["id"]: one for one in ui_form.get("definitions", {}).get("subgraphs", [])}
    nodes = [node for node in ui_form["nodes"] if node["type"] not in subgraphs]
    nodes += [node for subgraph in subgraphs.values() for node in subgraph["nodes"]]
    return sorted((node["title"], node["widgets_values"]) for node in nodes)


def test_a_workflow_survives_the_change_of_form(comfy_server):
    info = comfy_server.client.object_info()
    for name in TITLES:
        graph, ui_form = load_workflow(name)
        made = to_ui(graph, info, original=ui_form)
        assert len(made["links"]) == len(ui_form["links"])
        if "definitions" not in ui_form:  # nodes of a subgraph get new numbers
            assert made["links"] == ui_form["links"]
        assert values(made) == values(ui_form)


def test_progress_counts_the_steps_of_the_sampler(comfy_server):
    client = comfy_server.client
    graph = workflow(client, "pose_free", "collins.jpg", "obama.jpg")
    inputs_of(graph, "IDPatchSampler")["seed"] = 77
    events = []
    client.run(graph, on_event=events.append)
    sampler = find_node(graph, "IDPatchSampler")
    steps = [e.value for e in events if e.kind == "progress" and e.node == sampler and e.total == 3]
    # From 0.9.2 on, ComfyUI leaves out the steps that follow another within 0.1 s, but the last.
    assert steps[-1] == 3 and len(set(steps)) > 1 and set(steps) <= {0, 1, 2, 3}
    assert steps == sorted(steps)
    assert events[0].kind in ("cached", "executing")
    assert all(event.title for event in events)


@pytest.mark.parametrize(
    ("placements", "message"),
    [
        ('[{"x": 1, "y": 2}]', "placements"),
        ("[{", "placements"),
        ('[{"x": "1", "y": 2}, null]', "placements"),
    ],
)
def test_wrong_placements_are_refused_at_the_placer(comfy_server, placements, message):
    client = comfy_server.client
    graph = workflow(client, "pose_free", "collins.jpg", "obama.jpg")
    inputs_of(graph, "IDPatchPlacer")["placements"] = placements
    with pytest.raises(NodeError, match=message) as refused:
        client.run(graph)
    assert refused.value.node_id == find_node(graph, "IDPatchPlacer")
    assert refused.value.title == "Patch Placer"


def test_an_image_without_a_face_is_refused_with_the_person_and_the_photo(comfy_server):
    client = comfy_server.client
    blank = png_bytes(np.full((256, 256, 3), 128, np.uint8))
    graph = workflow(client, "group_photo", "collins.jpg", "obama.jpg")
    name = client.upload_image(blank, "blank.png")
    people = json.loads(inputs_of(graph, "IDPatchPeople")["people"])
    people[1]["photos"] = [name]
    inputs_of(graph, "IDPatchPeople")["people"] = json.dumps(people)
    with pytest.raises(NodeError, match=rf"people: Ben: {name} \(256x256\): no face") as refused:
        client.run(graph)
    assert refused.value.node_id == find_node(graph, "IDPatchPeople")


def test_a_missing_photo_is_refused_before_the_run(comfy_server):
    graph = workflow(comfy_server.client, "group_photo", "collins.jpg", "obama.jpg")
    written = [{"name": "Anna", "photos": ["gone.jpg"]}]
    inputs_of(graph, "IDPatchPeople")["people"] = json.dumps(written)
    with pytest.raises(NodeError, match=r"Anna: gone\.jpg was not found") as refused:
        comfy_server.client.queue(graph)
    assert refused.value.node_id == find_node(graph, "IDPatchPeople")


def test_a_missing_model_file_is_refused_at_its_loader(comfy_server):
    client = comfy_server.client
    graph = workflow(client, "group_photo", "collins.jpg", "obama.jpg")
    inputs_of(graph, "IDPatchLoadModel")["model_name"] = "gone.bin"
    with pytest.raises(NodeError, match=r"gone\.bin") as refused:
        client.run(graph)
    assert refused.value.node_id == find_node(graph, "IDPatchLoadModel")


LOADERS = ("CheckpointLoaderSimple", "ControlNetLoader", "IDPatchLoadModel", "IDPatchLoadFaceModel")


def test_loaders_name_their_released_files_for_the_download():
    released = {file.path: file.url for file in FILES}
    for name in set(TITLES) - DEMO:
        _, ui_form = load_workflow(name)
        subgraphs = ui_form.get("definitions", {}).get("subgraphs", [])
        nodes = [node for graph in (ui_form, *subgraphs) for node in graph["nodes"]]
        for kind in LOADERS:
            (node,) = [node for node in nodes if node["type"] == kind]
            (model,) = node["properties"]["models"]
            assert model["name"] == node["widgets_values"][0]
            assert model["url"] == released[f"{model['directory']}/{model['name']}"]


def test_only_the_ui_forms_are_offered_as_templates(comfy_server):
    import urllib.request

    with urllib.request.urlopen(f"{comfy_server.url}/workflow_templates") as answer:
        offered = json.load(answer)
    assert sorted(offered["ComfyUI-ID-Patch"]) == sorted(TITLES.values())
