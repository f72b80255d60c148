"""A drawn scene of two people whom the demo models were not trained on, as inputs of nodes."""

import json
from typing import Any, NamedTuple

import numpy as np
import torch

from idpatch_core.demo_world.people import sample_appearance
from idpatch_core.demo_world.portraits import draw_portrait
from idpatch_core.demo_world.scenes import PlannedPerson, ScenePlan, draw_scene
from idpatch_core.demo_world.world import read_world
from idpatch_core.poses import to_pose_keypoint

WIDTH, HEIGHT = 192, 96
NAMES = ["Ann", "Bob"]
FIRST = read_world().people.evaluation[0]
NUMBERS = [FIRST, FIRST + 1]


class Scene(NamedTuple):
    """The inputs of the node for two people, and the heads' noses and eye distances."""

    inputs: dict[str, Any]
    noses: np.ndarray
    eyes: list[float]


def draw(*numbers: int) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    people = [
        PlannedPerson(number, sample_appearance(np.random.default_rng(place)), 66, left, 12.0)
        for place, (number, left) in enumerate(zip(numbers, (20.0, 100.0), strict=True))
    ]
    pixels, record = draw_scene(ScenePlan("blue", float(HEIGHT), people, "", WIDTH, HEIGHT))
    ordered = sorted(record["people"], key=lambda person: person["keypoints"][2][0])
    return torch.from_numpy(pixels).float()[None] / 255, ordered


def make_scene(comfy: Any) -> Scene:
    """Return the inputs of Refine Identities for two drawn people, few steps."""
    nodes = comfy.nodes
    loaded = nodes.demo_models.IDPatchLoadDemoModels.execute().args
    model, clip, vae, control_net, id_patch, face_model = loaded
    encode = nodes.faces.IDPatchFaceEncoder.execute
    identities: Any = None
    for number, name in zip(NUMBERS, NAMES, strict=True):
        portrait = torch.from_numpy(draw_portrait(number).pixels).float()[None] / 255
        (identities,) = encode(face_model, portrait, name, identities=identities).args
    (patches,) = nodes.model.IDPatchBuilder.execute(id_patch, identities).args
    image, people = draw(*NUMBERS)
    keypoints = np.array([person["keypoints"] for person in people])
    pose = to_pose_keypoint(np.array([person["pose"] for person in people]), WIDTH, HEIGHT)
    points = json.dumps([{"x": x, "y": y} for x, y in keypoints[:, 2]])
    placer = nodes.placer.IDPatchPlacer.execute
    hint = placer(patches, WIDTH, HEIGHT, points, "placements", pose_keypoint=pose).args[0]
    texts = [
        clip.encode_from_tokens_scheduled(clip.tokenize(text))
        for text in ("one person in front of a blue wall", "")
    ]
    inputs = {
        "image": image,
        "model": model,
        "positive": texts[0],
        "negative": texts[1],
        "vae": vae,
        "control_net": control_net,
        "id_patches": patches,
        "id_hint": hint,
        "face_model": face_model,
        "people": "all",
        "names": "",
        "small_share": 0.1,
        "seed": 1,
        "steps": 2,
        "cfg": 2.5,
        "sampler_name": "euler",
        "scheduler": "reference",
        "denoise": 0.8,
        "crop_size": 96,
        "face_size": 30,
        "keep": "always",
        "control_strength": 1.0,
        "guide_patches": True,
    }
    eyes = np.linalg.norm(keypoints[:, 1] - keypoints[:, 0], axis=1).tolist()
    return Scene(inputs, keypoints[:, 2], eyes)
