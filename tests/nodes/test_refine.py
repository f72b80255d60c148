"""Refine Identities with the demo models, on drawn scenes."""

import json
from typing import Any

import pytest
import torch
from demo_scene import HEIGHT, NUMBERS, WIDTH, Scene, draw, make_scene

from idpatch_core.poses import to_pose_keypoint


@pytest.fixture(scope="module")
def scene(comfy) -> Scene:
    return make_scene(comfy)


def refine(comfy: Any, scene: Scene, **changes: Any) -> Any:
    with torch.inference_mode():
        return comfy.nodes.refine.IDPatchRefine.execute(**{**scene.inputs, **changes})


def distance_from_head(scene: Scene, person: int) -> torch.Tensor:
    """Return the distance of each pixel from the middle of a head, in distances of the eyes."""
    x = torch.arange(WIDTH) + 0.5 - scene.noses[person][0]
    y = torch.arange(HEIGHT) + 0.5 - scene.noses[person][1] + 0.4 * scene.eyes[person]
    return torch.hypot(x[None], y[:, None]) / scene.eyes[person]


def test_heads_change_and_no_other_pixel(comfy, scene):
    image = scene.inputs["image"].clone()
    refined, report = refine(comfy, scene).args
    assert torch.equal(scene.inputs["image"], image)
    near = torch.stack([distance_from_head(scene, person) for person in (0, 1)]).amin(0)
    changed = (refined != image).any(-1)[0]
    assert not changed[near > 2.75].any()
    assert changed[near < 1.5].float().mean() > 0.9
    assert report.startswith("2 people refined of 2 chosen.\n  ")
    assert "Ann" in report
    assert "Bob" in report


def test_a_head_is_sampled_as_by_the_id_patch_sampler(comfy, scene):
    """Ann's crop at its own size: the ID-Patch Sampler with her alone, in the crop's pixels."""
    inputs, crops = scene.inputs, comfy.idpatch_core.head_crops
    head = crops.CroppedHead(inputs["id_hint"].points[0], scene.eyes[0])
    face_size = 16  # narrower than the face, so that nothing is enlarged
    crop = crops.plan_crop(head, WIDTH, HEIGHT, 64, face_size)
    assert (crop.width, crop.height) == (64, 64)
    other = crops.CroppedHead(inputs["id_hint"].points[1], scene.eyes[1])
    mask = crops.draw_head_mask(crop, [head, other], 0)
    poses = inputs["id_hint"].poses.numpy() - [crop.left, crop.top, 0]
    point = json.dumps([{"x": head.point.x - crop.left, "y": head.point.y - crop.top}])
    alone = inputs["id_patches"]._replace(
        **{
            name: getattr(inputs["id_patches"], name)[:1]
            for name in ("patches", "tokens", "zero_tokens", "people")
        }
    )
    pose = to_pose_keypoint(poses, 64, 64)
    placer = comfy.nodes.placer.IDPatchPlacer.execute
    hint = placer(alone, 64, 64, point, "placements", pose_keypoint=pose).args[0]
    pixels = crop.cut(inputs["image"])
    with torch.inference_mode():
        latent = {"samples": inputs["vae"].encode(pixels), "noise_mask": (mask > 0).float()[None]}
        networks = (inputs["model"], inputs["positive"], inputs["negative"], inputs["control_net"])
        settings = (inputs["seed"], 4, 2.5, "euler", "reference", 1.0, 1.0, latent, 0.8, 1.0, True)
        sampler = comfy.nodes.sampler.IDPatchSampler.execute
        sampled = sampler(*networks, alone, hint, *settings).args[0]["samples"]
        new = inputs["vae"].decode(sampled)[0].float().clamp(0, 1)
    expected = torch.lerp(pixels[0], new, mask[..., None])
    changes = {"people": "named", "names": "Ann", "steps": 4}
    refined, _ = refine(comfy, scene, crop_size=64, face_size=face_size, **changes).args
    assert (new - pixels[0]).abs().max() > 0.1
    torch.testing.assert_close(crop.cut(refined)[0], expected, atol=1e-5, rtol=0)


def test_only_the_named_person_changes(comfy, scene):
    refined, report = refine(comfy, scene, people="named", names="Bob").args
    changed = (refined != scene.inputs["image"]).any(-1)[0]
    assert not changed[distance_from_head(scene, 0) < 2].any()
    assert changed[distance_from_head(scene, 1) < 1.5].float().mean() > 0.9
    assert "Ann" not in report


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("Zoe", r"^names: Zoe is not one of 2 people \(Ann, Bob\)"),
        ("", r"^names: it is empty"),
    ],
)
def test_names_that_are_unknown(comfy, scene, names, message):
    with pytest.raises(ValueError, match=message):
        refine(comfy, scene, people="named", names=names)


def test_where_no_one_is_chosen_the_image_is_the_same(comfy, scene):
    output = refine(comfy, scene, people="small_faces", small_share=0.05)
    assert output.args[0] is scene.inputs["image"]
    assert "No one was refined" in output.args[1]
    assert "No one was refined" in output.ui["idpatch_warnings"][0]


def test_a_worse_face_is_not_taken(comfy, scene):
    # The drawn faces are right; one step from noise gives no face.
    settings = {"denoise": 1.0, "steps": 1, "control_strength": 0.0}
    refined, report = refine(comfy, scene, keep="if_better", **settings).args
    assert torch.equal(refined, scene.inputs["image"])
    assert report.count("kept as before") == 2
    taken, _ = refine(comfy, scene, keep="always", **settings).args
    assert not torch.equal(taken, scene.inputs["image"])


def test_a_wrong_person_is_found_and_replaced(comfy, scene):
    settings = {"people": "failed", "steps": 10, "denoise": 1.0, "keep": "if_better"}
    twice, _ = draw(NUMBERS[0], NUMBERS[0])  # Ann stands in both places
    refined, report = refine(comfy, scene, image=twice, **settings).args
    assert report.startswith("1 person refined of 1 chosen.")
    assert "Bob" in report
    assert torch.equal(refined[:, :, :80], twice[:, :, :80])
    assert refine(comfy, scene, **settings).args[0] is scene.inputs["image"]


def test_each_image_of_a_batch_is_refined_as_if_alone(comfy, scene):
    other = scene.inputs["image"].flip(-1)
    both, report = refine(comfy, scene, image=torch.cat([scene.inputs["image"], other])).args
    alone, _ = refine(comfy, scene).args
    assert both.shape == (2, HEIGHT, WIDTH, 3)
    torch.testing.assert_close(both[:1], alone, atol=2e-3, rtol=0)
    assert not torch.equal(both[1], other[0])
    assert "Image 1, Ann" in report
    assert "Image 2, Bob" in report


def test_an_enlarged_image_keeps_its_size(comfy, scene):
    large = scene.inputs["image"].repeat_interleave(2, 1).repeat_interleave(2, 2)
    refined, _ = refine(comfy, scene, image=large).args
    assert refined.shape == large.shape
    near = torch.stack([distance_from_head(scene, person) for person in (0, 1)]).amin(0)
    far = near.repeat_interleave(2, 0).repeat_interleave(2, 1) > 2.85
    assert torch.equal(refined[0][far], large[0][far])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": torch.zeros(1, 96, 96, 3)}, r"^image: it is 96x96.*hint of 192x96"),
        ({"image": torch.zeros(1, 96, 192, 1)}, r"^image: expected RGB, got 1 channel"),
        ({"face_size": 40}, r"^crop_size: 96 is too small for a face 40 wide.* at least 120"),
    ],
)
def test_sizes_that_do_not_fit(comfy, scene, changes, message):
    with pytest.raises(ValueError, match=message):
        refine(comfy, scene, **changes)


def test_an_error_names_the_person(comfy, scene):
    ((text, options),) = scene.inputs["positive"]
    narrow = [[text[..., :-1], options]]
    with pytest.raises(ValueError, match=r"^(Ann|Bob): positive: its text tokens are"):
        refine(comfy, scene, positive=narrow)


def test_the_regions_of_the_whole_image_are_left_out(comfy, scene):
    model, hint = scene.inputs["model"], scene.inputs["id_hint"]
    clip = comfy.nodes.demo_models.IDPatchLoadDemoModels.execute().args[1]
    gate, phrases = comfy.nodes.region_gate.IDPatchRegionGate, comfy.nodes.phrases.IDPatchPhrases
    caption = next(one.default for one in phrases.define_schema().inputs if one.id == "caption")
    plain = refine(comfy, scene).args[0]
    for gated in (
        gate.execute(model, hint, 0.01).args[0],
        phrases.execute(model, clip, hint, "Ann: wearing red shirts", caption).args[0],
    ):
        assert gated is not model
        assert torch.equal(refine(comfy, scene, model=gated).args[0], plain)


def test_one_progress_bar_for_all_people(comfy, scene):
    import comfy.utils as utils

    seen = []
    utils.set_progress_bar_global_hook(lambda value, total, *_, **__: seen.append((value, total)))
    try:
        refine(comfy, scene, steps=3)
    finally:
        utils.set_progress_bar_global_hook(None)
    # Newer versions of ComfyUI leave out steps that follow one another too fast, but not the last.
    assert {total for _, total in seen} == {6} and seen[-1] == (6, 6) and len(seen) > 1
    assert [step for step, _ in seen] == sorted({step for step, _ in seen})


def test_it_stops_when_cancelled(comfy, scene):
    import comfy.model_management as management
    import comfy.utils as utils

    seen = []

    def cancel(value: int, *_: Any, **__: Any) -> None:
        seen.append(value)
        management.interrupt_current_processing(True)

    utils.set_progress_bar_global_hook(cancel)
    try:
        with pytest.raises(management.InterruptProcessingException):
            refine(comfy, scene, steps=4)
    finally:
        utils.set_progress_bar_global_hook(None)
        management.interrupt_current_processing(False)
    assert seen == [1]
