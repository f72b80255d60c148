"""Every bundled workflow on a live ComfyUI, with stand-in models at a small size."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from standins import standin_names

from idpatch_core.comfyui.client import ComfyClient, NodeError, Prompt
from idpatch_core.comfyui.ui_format import to_ui
from idpatch_core.demo.picture import (
    load_workflow,
    of_class,
    set_models,
    set_people,
    set_sampling,
    set_size,
)

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "tests" / "data" / "photos"
WORKFLOWS = ["group_photo", "group_photo_composable", "pose_free", "three_people_with_pose"]


def workflow(client: ComfyClient, name: str, *photos: str) -> Prompt:
    """Return a bundled workflow made small and given photos and stand-in models."""
    prompt, _ = load_workflow(name)
    set_people(prompt, [client.upload_image(PHOTOS / photo) for photo in photos])
    set_models(prompt, standin_names())
    set_size(prompt, 192, 128)
    set_sampling(prompt, 1, 3)
    return prompt


def picture(client: ComfyClient, prompt: Prompt) -> np.ndarray:
    (file,) = client.run(prompt).images()
    return np.array(Image.open(io.BytesIO(client.fetch(file))))


def only(prompt: Prompt, kind: str) -> dict:
    (node,) = of_class(prompt, kind)
    return node["inputs"]


def id_of(prompt: Prompt, kind: str) -> str:
    (found,) = [id for id, node in prompt.items() if node["class_type"] == kind]
    return found


def bundled(folder: str, ending: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / folder).glob(f"*.{ending}"))


def test_every_workflow_has_both_forms_and_a_thumbnail():
    names = bundled("workflows", "json")
    assert set(WORKFLOWS) <= set(names)
    assert bundled("workflows/api", "json") == names
    assert bundled("workflows", "jpg") == names


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_makes_a_picture(comfy_server, name):
    photos = ["collins.jpg", "obama.jpg", "sunak.jpg"][: 3 if name.startswith("three") else 2]
    made = picture(comfy_server.client, workflow(comfy_server.client, name, *photos))
    assert made.shape == (128, 192, 3)
    assert made.std() > 5


def test_the_same_seed_makes_the_same_picture(comfy_server):
    prompt = workflow(comfy_server.client, "group_photo", "collins.jpg", "obama.jpg")
    first = picture(comfy_server.client, prompt)
    only(prompt, "IDPatchSampler")["seed"] = 2
    other = picture(comfy_server.client, prompt)
    only(prompt, "IDPatchSampler")["seed"] = 1
    only(prompt, "SaveImage")["filename_prefix"] = "again"
    assert np.array_equal(picture(comfy_server.client, prompt), first)
    assert not np.array_equal(other, first)


def test_another_person_makes_another_picture(comfy_server):
    client = comfy_server.client
    a = picture(client, workflow(client, "group_photo", "collins.jpg", "obama.jpg"))
    b = picture(client, workflow(client, "group_photo", "collins.jpg", "sunak.jpg"))
    assert not np.array_equal(a, b)


def test_people_can_be_added_and_taken_away(comfy_server):
    client = comfy_server.client
    photos = ["collins.jpg", "obama.jpg", "sunak.jpg", "macron_2014.jpg"]
    for count in (1, 4):
        made = picture(client, workflow(client, "group_photo", *photos[:count]))
        assert made.shape == (128, 192, 3)


def test_the_png_restores_the_graph(comfy_server):
    client = comfy_server.client
    prompt = workflow(client, "group_photo", "collins.jpg", "obama.jpg")
    graph = to_ui(prompt, client.object_info(), like=load_workflow("group_photo")[1])
    (file,) = client.run(prompt, graph).images()
    png = Image.open(io.BytesIO(client.fetch(file)))
    assert json.loads(png.info["workflow"]) == graph
    inputs = {id: node["inputs"] for id, node in json.loads(png.info["prompt"]).items()}
    assert inputs == {id: node["inputs"] for id, node in prompt.items()}


def values(graph: dict) -> dict[int, list]:
    return {node["id"]: node["widgets_values"] for node in graph["nodes"]}


def test_a_workflow_survives_the_change_of_form(comfy_server):
    info = comfy_server.client.object_info()
    for name in bundled("workflows", "json"):
        prompt, graph = load_workflow(name)
        made = to_ui(prompt, info, like=graph)
        assert made["links"] == graph["links"]
        assert values(made) == values(graph)


def test_progress_counts_the_steps_of_the_sampler(comfy_server):
    client = comfy_server.client
    prompt = workflow(client, "pose_free", "collins.jpg", "obama.jpg")
    only(prompt, "IDPatchSampler")["seed"] = 77
    events = []
    client.run(prompt, on_event=events.append)
    sampler = id_of(prompt, "IDPatchSampler")
    steps = [e.value for e in events if e.kind == "progress" and e.node == sampler and e.total == 3]
    assert steps[-3:] == [1, 2, 3]
    assert events[0].kind in ("cached", "executing")
    assert all(event.title for event in events)


@pytest.mark.parametrize(
    ("placements", "said"),
    [
        ('[{"x": 1, "y": 2}]', "placements"),
        ("[{", "placements"),
        ('[{"x": "1", "y": 2}, null]', "placements"),
    ],
)
def test_wrong_placements_are_refused_at_the_placer(comfy_server, placements, said):
    client = comfy_server.client
    prompt = workflow(client, "pose_free", "collins.jpg", "obama.jpg")
    only(prompt, "IDPatchPlacer")["placements"] = placements
    with pytest.raises(NodeError, match=said) as refused:
        client.run(prompt)
    assert refused.value.node_id == id_of(prompt, "IDPatchPlacer")
    assert refused.value.title == "Patch Placer"


def test_a_picture_without_a_face_is_refused_at_its_encoder(comfy_server):
    client = comfy_server.client
    blank = io.BytesIO()
    Image.new("RGB", (256, 256), "gray").save(blank, "PNG")
    prompt = workflow(client, "group_photo", "collins.jpg", "obama.jpg")
    name = client.upload_image(blank.getvalue(), "blank.png")
    photo = next(id for id, node in prompt.items() if node["inputs"].get("image") == "obama.jpg")
    prompt[photo]["inputs"]["image"] = name
    with pytest.raises(NodeError, match="face") as refused:
        client.run(prompt)
    assert prompt[refused.value.node_id]["inputs"]["image"] == [photo, 0]


def test_a_missing_model_file_is_refused_at_its_loader(comfy_server):
    client = comfy_server.client
    prompt = workflow(client, "group_photo", "collins.jpg", "obama.jpg")
    only(prompt, "IDPatchLoadModel")["model_name"] = "gone.bin"
    with pytest.raises(NodeError, match=r"gone\.bin") as refused:
        client.run(prompt)
    assert refused.value.node_id == id_of(prompt, "IDPatchLoadModel")


def test_loaders_offer_the_download_of_what_the_dialog_accepts():
    for name in set(bundled("workflows", "json")) - {"self_test"}:  # which needs no download
        _, graph = load_workflow(name)
        for kind in ("CheckpointLoaderSimple", "ControlNetLoader"):
            (node,) = [node for node in graph["nodes"] if node["type"] == kind]
            (model,) = node["properties"]["models"]
            assert model["name"] == node["widgets_values"][0]
            assert model["url"].startswith("https://huggingface.co/")
            assert model["url"].endswith(f"/{model['name']}")
            assert model["directory"] in ("checkpoints", "controlnet")


def test_only_the_ui_forms_are_offered_as_templates(comfy_server):
    import urllib.request

    with urllib.request.urlopen(f"{comfy_server.url}/workflow_templates") as answer:
        offered = json.load(answer)
    assert sorted(offered["ComfyUI-ID-Patch"]) == bundled("workflows", "json")
