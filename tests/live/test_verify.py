"""Verify Identities, Pick Best and Save Report on a live ComfyUI, on photos put side by side."""

import io
import json
import shutil

import numpy as np
import pytest
from live_workflow import png_bytes, small_workflow, standin_workflow
from photos import Group, compose, read_photos
from PIL import Image
from scorers import fetch_recogniser

from idpatch_core.comfyui.client import ComfyClient, File
from idpatch_core.comfyui.graph import Graph, add_node, inputs_of
from idpatch_core.comfyui.group_photo import PersonPhotos, set_people, set_placements, set_size

PHOTOS = read_photos()
THREE = ["ardern", "macron", "obama"]


def padded(image):
    """Make both sides a multiple of 8, as the Patch Placer wants it."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")


def verify_groups(client: ComfyClient, *groups: Group) -> Graph:
    """Return the bundled workflow with the groups' images in place of the generated ones."""
    graph = standin_workflow("group_photo_best_of_four", steps=1)
    photos = [
        client.upload_image(png_bytes(PHOTOS[f"{name}_1"]), f"verify_{name}.png") for name in THREE
    ]
    set_people(graph, [PersonPhotos(n, [photo]) for n, photo in zip(THREE, photos, strict=True)])
    batch = None
    for number, group in enumerate(groups):
        content = png_bytes(padded(group.image))
        file = client.upload_image(content, f"verify_group_{number}.png")
        image = [add_node(graph, "LoadImage", {"image": file}), 0]
        if batch:
            both = {"image1": batch, "image2": image}
            image = [add_node(graph, "ImageBatch", both), 0]
        batch = image
    for kind in ("IDPatchVerify", "IDPatchPickBest"):
        inputs_of(graph, kind)["image"] = batch
    height, width = padded(groups[0].image).shape[:2]
    set_size(graph, width, height)
    set_placements(graph, groups[0].points)
    del inputs_of(graph, "IDPatchPlacer")["pose_keypoint"]
    return graph


@pytest.fixture
def recogniser(comfy_server):
    folder = comfy_server.base / "models" / "idpatch"
    for name in ("fr_feature.onnx", "fr_feature.onnx.json"):
        shutil.copy(fetch_recogniser().with_name(name), folder / name)
    yield
    for name in ("fr_feature.onnx", "fr_feature.onnx.json"):
        (folder / name).unlink()


def test_the_best_of_a_batch_is_kept_and_the_report_saved(comfy_server, recogniser):
    client = comfy_server.client
    swapped, right, missing = (
        compose([name and PHOTOS[f"{name}_2"] for name in shown])
        for shown in (["macron", "ardern", "obama"], THREE, ["ardern", None, "obama"])
    )
    # The placements of the right image are used for all three.
    groups = [group._replace(points=right.points) for group in (swapped, right, missing)]
    result = client.run(verify_groups(client, *groups))

    shown = next(output for output in result.outputs.values() if "text" in output)
    assert "1 of 3 images show each person at their placement." in shown["text"][0]
    (kept,) = [file for file in result.images() if file.filename.endswith(".png")]
    best = np.asarray(Image.open(io.BytesIO(client.fetch(kept))).convert("RGB"))
    assert np.array_equal(best, padded(right.image))

    files = next(o["idpatch_report"] for o in result.outputs.values() if "idpatch_report" in o)
    text, content = (client.fetch(File(**file)).decode() for file in files)
    assert "Swapped: ardern, macron" in text
    assert json.loads(content)["scorer"] == "fr_feature"
    assert [image["all_correct"] for image in json.loads(content)["images"]] == [False, True, False]


def test_without_an_independent_recogniser_the_report_warns(comfy_server):
    client = comfy_server.client
    result = client.run(verify_groups(client, compose([PHOTOS[f"{name}_2"] for name in THREE])))
    shown = next(output for output in result.outputs.values() if "text" in output)
    assert "the conditioning model, so the scores are biased" in shown["text"][0]


def test_the_bundled_workflow_verifies_its_own_four_images(comfy_server):
    client = comfy_server.client
    photos = [png_bytes(PHOTOS[f"{name}_1"]) for name in THREE[:2]]
    result = client.run(small_workflow(client, "group_photo_best_of_four", *photos, steps=1))
    (kept,) = result.images()
    assert Image.open(io.BytesIO(client.fetch(kept))).size == (192, 128)
    files = next(o["idpatch_report"] for o in result.outputs.values() if "idpatch_report" in o)
    content = json.loads(client.fetch(File(**files[1])))
    # Stand-in models make noise, without people.
    assert [image["scores"] for image in content["images"]] == [[-1.0, -1.0]] * 4
