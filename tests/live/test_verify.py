"""Verify Identities, Pick Best and Save Report on a live ComfyUI, on photographs put together."""

import io
import json
import shutil

import numpy as np
import pytest
from groups import compose, read_photographs
from PIL import Image
from scorers import fetch_recogniser
from standins import standin_names

from idpatch_core.comfyui.client import File
from idpatch_core.demo.picture import (
    load_workflow,
    set_models,
    set_people,
    set_sampling,
    set_size,
)

PHOTOS = read_photographs()
THREE = ["ardern", "macron", "obama"]
CHECK = ("IDPatchLoadFaceModel", "IDPatchLoadModel", "IDPatchBuilder", "IDPatchPlacer")
CHECK += ("IDPatchLoadScorer", "IDPatchVerify", "IDPatchPickBest", "IDPatchSaveReport", "SaveImage")


def png(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def padded(image):
    """Make both sides a multiple of 8, as the Patch Placer wants it."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")


def graph(client, *groups):
    """The bundled workflow with finished pictures in place of the sampler's."""
    prompt, _ = load_workflow("group_photo_best_of_four")
    set_models(prompt, standin_names())
    kept = {id: node for id, node in prompt.items() if node["class_type"] in CHECK}
    last = None
    for number, name in enumerate(THREE):
        load, encode = f"1{number}0", f"1{number}1"
        uploaded = client.upload_image(png(PHOTOS[f"{name}_1"]), f"verify_{name}.png")
        kept[load] = {"class_type": "LoadImage", "inputs": {"image": uploaded}}
        encoder = {"face_model": ["4", 0], "image": [load, 0], "name": name, "face": "largest"}
        encoder |= {"index": 0, "people": "one person", **({"identities": last} if last else {})}
        kept[encode] = {"class_type": "IDPatchFaceEncoder", "inputs": encoder}
        last = [encode, 0]
    batch = None
    for number, group in enumerate(groups):
        uploaded = client.upload_image(png(padded(group.image)), f"verify_group_{number}.png")
        kept[f"2{number}0"] = {"class_type": "LoadImage", "inputs": {"image": uploaded}}
        image = [f"2{number}0", 0]
        if batch:
            both = {"image1": batch, "image2": image}
            kept[f"2{number}1"] = {"class_type": "ImageBatch", "inputs": both}
            image = [f"2{number}1", 0]
        batch = image
    height, width = padded(groups[0].image).shape[:2]
    places = json.dumps([{"x": point.x, "y": point.y} for point in groups[0].points])
    placer = {"width": width, "height": height, "placements": places, "arrangement": "placements"}
    for node in kept.values():
        if node["class_type"] == "IDPatchPlacer":
            node["inputs"] = {"id_patches": ["5", 0], **placer}
        if node["class_type"] in ("IDPatchBuilder", "IDPatchVerify"):
            node["inputs"]["identities"] = last
        if node["class_type"] in ("IDPatchVerify", "IDPatchPickBest"):
            node["inputs"]["image"] = batch
    return kept


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
    # The places of the right picture are those of all three.
    groups = [group._replace(points=right.points) for group in (swapped, right, missing)]
    result = client.run(graph(client, *groups))

    shown = next(output for output in result.outputs.values() if "text" in output)
    assert "1 of 3 pictures have everybody at their place." in shown["text"][0]
    (kept,) = [file for file in result.images() if file.filename.endswith(".png")]
    best = np.asarray(Image.open(io.BytesIO(client.fetch(kept))).convert("RGB"))
    assert np.array_equal(best, padded(right.image))

    files = next(o["idpatch_report"] for o in result.outputs.values() if "idpatch_report" in o)
    text, content = (client.fetch(File(**file)).decode() for file in files)
    assert "Swapped: ardern, macron" in text
    assert json.loads(content)["scorer"] == "fr_feature"
    assert [p["all_right"] for p in json.loads(content)["pictures"]] == [False, True, False]


def test_without_an_independent_recogniser_the_report_warns(comfy_server):
    client = comfy_server.client
    result = client.run(graph(client, compose([PHOTOS[f"{name}_2"] for name in THREE])))
    shown = next(output for output in result.outputs.values() if "text" in output)
    assert "which also conditions: this flatters" in shown["text"][0]


def test_the_bundled_workflow_judges_its_own_four_pictures(comfy_server):
    client = comfy_server.client
    prompt, _ = load_workflow("group_photo_best_of_four")
    photographs = [png(PHOTOS[f"{name}_1"]) for name in THREE[:2]]
    set_people(prompt, [client.upload_image(p, f"{i}.png") for i, p in enumerate(photographs)])
    set_models(prompt, standin_names())
    set_size(prompt, 192, 128)
    set_sampling(prompt, 1, 1)
    result = client.run(prompt)
    (kept,) = result.images()
    assert Image.open(io.BytesIO(client.fetch(kept))).size == (192, 128)
    files = next(o["idpatch_report"] for o in result.outputs.values() if "idpatch_report" in o)
    content = json.loads(client.fetch(File(**files[1])))
    # Stand-in models make noise: there is nobody in it.
    assert [picture["scores"] for picture in content["pictures"]] == [[-1.0, -1.0]] * 4
