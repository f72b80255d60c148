"""The demo models in ComfyUI: the people of the portraits stand where they were put."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from idpatch_core.alignment import align_face
from idpatch_core.arcface import embed, load_arcface
from idpatch_core.comfyui.client import ComfyClient
from idpatch_core.demo.picture import load_workflow, of_class, set_people
from idpatch_core.demo_world.people import Look, draw
from idpatch_core.face_detector import load_detector
from idpatch_core.skeleton import draw_openpose

DEMO = Path(__file__).parents[2] / "idpatch_core" / "demo"
ADA, BEN, CLEO = "Ada", "Ben", "Cleo"
WIDTH, HEIGHT = 192, 96
LOOK = Look("smile", False, True, "crew", "yellow", mirrored=False)
SIZE = 78  # pixels of the square that a person is drawn on
SEEDS = range(6)


def body(x: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the keypoints (5, 2) and pose (18, 3) of somebody with the nose at x."""
    drawn = draw(0, LOOK, SIZE)
    move = np.array([x - drawn.keypoints[2, 0], HEIGHT - SIZE + 2])
    pose = drawn.pose.copy()
    pose[:, :2] += move
    pose[(drawn.pose[:, 2] == 0) | (pose[:, 1] > HEIGHT)] = 0
    return drawn.keypoints + move, pose


def picture(
    client: ComfyClient, people: Sequence[str], places: Sequence[float], seed: int
) -> np.ndarray:
    """Make the self-test's picture (96, 192, 3) with these portraits, at these noses' x."""
    prompt, _ = load_workflow("self_test")
    portraits = [client.upload_image(DEMO / "portraits" / f"{name}.png") for name in people]
    set_people(prompt, portraits)
    bodies = [body(x) for x in places]
    drawing = io.BytesIO()
    poses = draw_openpose(np.stack([pose for _, pose in bodies]), WIDTH, HEIGHT)
    Image.fromarray(poses).save(drawing, "PNG")
    name = client.upload_image(drawing.getvalue(), "self-test-pose.png")
    prompt["90"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    points = [dict(zip("xy", keypoints[2].tolist(), strict=True)) for keypoints, _ in bodies]
    (placer,) = of_class(prompt, "IDPatchPlacer")
    placer["inputs"] |= {
        "base_image": ["90", 0],
        "placements": json.dumps(points),
        "arrangement": "placements",
    }
    (sampler,) = of_class(prompt, "IDPatchSampler")
    sampler["inputs"]["seed"] = seed
    count = {2: "two", 3: "three"}[len(people)]
    text = f"{count} people in front of a grey wall, wearing yellow shirts"
    prompt[sampler["inputs"]["positive"][0]]["inputs"]["text"] = text
    (saver,) = of_class(prompt, "SaveImage")
    decoder = next(id for id, node in prompt.items() if node["class_type"] == "VAEDecode")
    saver["inputs"]["images"] = [decoder, 0]
    (file,) = client.run(prompt).images()
    return np.array(Image.open(io.BytesIO(client.fetch(file))).convert("RGB"))


@pytest.fixture(scope="module")
def scorer() -> torch.nn.Module:
    return load_arcface(DEMO / "models" / "scorer.safetensors").float()


@torch.no_grad()
def similarity(
    scorer: torch.nn.Module, made: np.ndarray, people: Sequence[str], places: Sequence[float]
) -> np.ndarray:
    """Return the cosines (people, places) of the portraits with the faces at the places."""
    detector, crops = load_detector(DEMO / "models" / "detector.onnx"), []
    for name in people:
        portrait = np.array(Image.open(DEMO / "portraits" / f"{name}.png").convert("RGB"))
        (face,) = detector.detect(portrait)
        crops.append(align_face(portrait, face.keypoints))
    crops += [align_face(made, body(x)[0].astype(np.float32)) for x in places]
    features = embed(scorer, torch.from_numpy(np.stack(crops)))
    return (features[: len(people)] @ features[len(people) :].T).numpy()


def right(matrices: Sequence[np.ndarray]) -> float:
    """Return the share of people whose face at their place is most like them of all there."""
    return float(np.mean([m.argmax(0) == np.arange(len(m)) for m in matrices]))


def test_everybody_stands_in_their_place(comfy_server, scorer):
    people, places = (ADA, BEN, CLEO), (36, 96, 156)
    made = [picture(comfy_server.client, people, places, seed) for seed in SEEDS]
    matrices = [similarity(scorer, one, people, places) for one in made]
    assert right(matrices) >= 0.8
    mean = np.mean(matrices, axis=0)
    assert (mean.argmax(1) == np.arange(3)).all()  # the matrix is diagonal
    own, others = np.diag(mean).mean(), mean[~np.eye(3, dtype=bool)].mean()
    assert own > others + 0.1


def test_swapping_two_people_swaps_them_in_the_picture(comfy_server, scorer):
    places, matrices = (50, 140), []
    for people in ((ADA, CLEO), (CLEO, ADA)):
        made = [picture(comfy_server.client, people, places, seed) for seed in SEEDS]
        found = [similarity(scorer, one, people, places) for one in made]
        assert (np.mean(found, axis=0).argmax(1) == (0, 1)).all()
        matrices += found
    assert right(matrices) >= 0.8


def test_moving_a_person_moves_them(comfy_server, scorer):
    near, far = (40, 90), (40, 150)
    for places, empty in ((near, 150), (far, 90)):
        made = [picture(comfy_server.client, (ADA, CLEO), places, seed) for seed in SEEDS]
        at = [similarity(scorer, one, (ADA, CLEO), (*places, empty)) for one in made]
        here, there = (np.mean([m[1, place] for m in at]) for place in (1, 2))
        assert here > there + 0.1


def test_the_workflow_as_it_is_makes_a_picture(comfy_server):
    prompt, _ = load_workflow("self_test")
    (file,) = comfy_server.client.run(prompt).images()
    made = Image.open(io.BytesIO(comfy_server.client.fetch(file)))
    assert made.size == (4 * WIDTH, 4 * HEIGHT)
