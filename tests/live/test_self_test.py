"""The demo models in ComfyUI: the people of the portraits are at their placements in the image."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from live_workflow import png_bytes, run_image, upload_people
from PIL import Image

from idpatch_core.alignment import align_face
from idpatch_core.arcface import embed, load_arcface
from idpatch_core.comfyui.client import ComfyClient
from idpatch_core.comfyui.group_photo import (
    save_decoded_images,
    set_base_image,
    set_people,
    set_placements,
    set_seed,
    set_text,
)
from idpatch_core.comfyui.workflows import load_workflow
from idpatch_core.demo_world.people import Appearance, draw_person
from idpatch_core.face_detector import load_detector
from idpatch_core.layout import Point
from idpatch_core.skeleton import draw_openpose

DEMO = Path(__file__).parents[2] / "idpatch_core" / "demo"
MODELS, PORTRAITS = DEMO / "models", DEMO / "portraits"
ADA, BEN, CLEO = "Ada", "Ben", "Cleo"
WIDTH, HEIGHT = 192, 96
LOOK = Appearance("smile", False, True, "crew", "yellow", mirrored=False)
SIZE = 78  # pixels of the square that a person is drawn on
SEEDS = range(6)


def body(x: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the keypoints (5, 2) and pose (18, 3) of a person with the nose at x."""
    drawn = draw_person(0, LOOK, SIZE)
    move = np.array([x - drawn.keypoints[2, 0], HEIGHT - SIZE + 2])
    pose = drawn.pose.copy()
    pose[:, :2] += move
    pose[(drawn.pose[:, 2] == 0) | (pose[:, 1] > HEIGHT)] = 0
    return drawn.keypoints + move, pose


def make_image(
    client: ComfyClient, people: Sequence[str], noses: Sequence[float], seed: int
) -> np.ndarray:
    """Make the self-test's image (96, 192, 3) with these portraits, at these noses' x."""
    graph, _ = load_workflow("self_test")
    set_people(graph, upload_people(client, [PORTRAITS / f"{name}.png" for name in people]))
    bodies = [body(x) for x in noses]
    poses = draw_openpose(np.stack([pose for _, pose in bodies]), WIDTH, HEIGHT)
    set_base_image(graph, client.upload_image(png_bytes(poses), "self-test-pose.png"))
    set_placements(graph, [Point(*keypoints[2].tolist()) for keypoints, _ in bodies])
    set_seed(graph, seed)
    count = {2: "two", 3: "three"}[len(people)]
    text = f"{count} people in front of a grey wall, wearing yellow shirts"
    set_text(graph, "positive", text)
    save_decoded_images(graph)
    return run_image(client, graph)


@pytest.fixture(scope="module")
def scorer() -> torch.nn.Module:
    return load_arcface(MODELS / "scorer.safetensors").float()


@torch.no_grad()
def similarity(
    scorer: torch.nn.Module, made: np.ndarray, people: Sequence[str], noses: Sequence[float]
) -> np.ndarray:
    """Return the cosines (people, noses) of the portraits with the faces at these noses' x."""
    detector, crops = load_detector(MODELS / "detector.onnx"), []
    for name in people:
        portrait = np.array(Image.open(PORTRAITS / f"{name}.png").convert("RGB"))
        (face,) = detector.detect(portrait)
        crops.append(align_face(portrait, face.keypoints))
    crops += [align_face(made, body(x)[0].astype(np.float32)) for x in noses]
    embeddings = embed(scorer, torch.from_numpy(np.stack(crops)))
    return (embeddings[: len(people)] @ embeddings[len(people) :].T).numpy()


def accuracy(matrices: Sequence[np.ndarray]) -> float:
    """Return the share of placed faces that resemble the person of their placement most."""
    return float(np.mean([m.argmax(0) == np.arange(len(m)) for m in matrices]))


def test_each_person_is_at_their_placement(comfy_server, scorer):
    people, noses = (ADA, BEN, CLEO), (36, 96, 156)
    made = [make_image(comfy_server.client, people, noses, seed) for seed in SEEDS]
    matrices = [similarity(scorer, one, people, noses) for one in made]
    assert accuracy(matrices) >= 0.8
    mean = np.mean(matrices, axis=0)
    assert (mean.argmax(1) == np.arange(3)).all()  # the matrix is diagonal
    own, others = np.diag(mean).mean(), mean[~np.eye(3, dtype=bool)].mean()
    assert own > others + 0.1


def test_swapping_two_people_swaps_them_in_the_image(comfy_server, scorer):
    noses, matrices = (50, 140), []
    for people in ((ADA, CLEO), (CLEO, ADA)):
        made = [make_image(comfy_server.client, people, noses, seed) for seed in SEEDS]
        found = [similarity(scorer, one, people, noses) for one in made]
        assert (np.mean(found, axis=0).argmax(1) == (0, 1)).all()
        matrices += found
    assert accuracy(matrices) >= 0.8


def test_moving_a_person_moves_them(comfy_server, scorer):
    near, far = (40, 90), (40, 150)
    for noses, empty in ((near, 150), (far, 90)):
        made = [make_image(comfy_server.client, (ADA, CLEO), noses, seed) for seed in SEEDS]
        at = [similarity(scorer, one, (ADA, CLEO), (*noses, empty)) for one in made]
        placed, empty_spot = (np.mean([m[1, nose] for m in at]) for nose in (1, 2))
        assert placed > empty_spot + 0.1


def test_the_unchanged_workflow_makes_an_image(comfy_server):
    prompt, _ = load_workflow("self_test")
    (file,) = comfy_server.client.run(prompt).images()
    made = Image.open(io.BytesIO(comfy_server.client.fetch(file)))
    assert made.size == (4 * WIDTH, 4 * HEIGHT)
