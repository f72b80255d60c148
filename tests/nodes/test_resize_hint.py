"""Resize Hint: a second pass with the demo models keeps who is where."""

import pytest
import torch
from demo_scene import HEIGHT, WIDTH, Scene, make_scene


@pytest.fixture(scope="module")
def scene(comfy) -> Scene:
    return make_scene(comfy)


def resize(comfy, scene: Scene, width: int, height: int, **changes):
    inputs = {name: scene.inputs[name] for name in ("id_hint", "id_patches")} | changes
    return comfy.nodes.resize_hint.IDPatchResizeHint.execute(width=width, height=height, **inputs)


def test_the_enlarged_image_shows_the_same_people(comfy, scene):
    width, height = WIDTH * 3 // 2, HEIGHT * 3 // 2
    hint = resize(comfy, scene, width, height).args[0]
    image = torch.nn.functional.interpolate(
        scene.inputs["image"].movedim(-1, 1), (height, width), mode="bicubic"
    ).movedim(1, -1)
    given = ("model", "positive", "negative", "control_net", "id_patches")
    given = {name: scene.inputs[name] for name in given}
    given |= {"steps": 15, "cfg": 2.5, "sampler_name": "euler", "scheduler": "reference"}
    given |= {"injection_ratio": 1.0, "control_strength": 1.0, "guide_patches": True, "seed": 1}
    with torch.inference_mode():
        latent = {"samples": scene.inputs["vae"].encode(image.clamp(0, 1))}
        sampler = comfy.nodes.sampler.IDPatchSampler
        sampled = sampler.execute(**given, id_hint=hint, latent_image=latent, denoise=0.5).args[0]
        made = scene.inputs["vae"].decode(sampled["samples"])
        scorer = comfy.nodes.scorer.IDPatchLoadScorer
        scorer = scorer.execute("conditioning", 0.0, scene.inputs["face_model"]).args[0]
        people = list(given["id_patches"].people)
        verified = comfy.nodes.verify.IDPatchVerify.execute(made, people, hint, scorer).args
    assert made.shape == (1, height, width, 3)
    assert verified[4]  # each person is at their placement


def test_names_that_differ_are_warned_of(comfy, scene):
    hint = scene.inputs["id_hint"]._replace(names=("Zoe", "Bob"))
    (warning,) = resize(comfy, scene, WIDTH * 2, HEIGHT * 2, id_hint=hint).ui["idpatch_warnings"]
    assert warning == "id_hint: it was made for Zoe, Bob, id_patches holds Ann, Bob."


def test_another_aspect_ratio_is_refused(comfy, scene):
    with pytest.raises(ValueError, match=r"^id_hint: it is 192x96, which has a different aspect"):
        resize(comfy, scene, 192, 192)
