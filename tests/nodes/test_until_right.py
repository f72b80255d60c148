"""Sample Until Right with the demo models: as the other nodes one after the other."""

from typing import Any

import pytest
import torch
from demo_scene import HEIGHT, WIDTH, Scene, make_scene

SAMPLER = ("model", "positive", "negative", "control_net", "id_patches", "id_hint", "seed", "steps")
SAMPLER += ("cfg", "sampler_name", "scheduler", "control_strength", "guide_patches")
RIGHT = "right, the least similar person scores "


@pytest.fixture(scope="module")
def scene(comfy) -> Scene:
    return make_scene(comfy)


@pytest.fixture(scope="module")
def inputs(comfy, scene) -> dict[str, Any]:
    """Return inputs that make an image of two people, who seldom are wrong."""
    model = comfy.nodes.scorer.IDPatchLoadScorer
    scorer = model.execute("conditioning", 0.0, scene.inputs["face_model"]).args[0]
    clip = comfy.nodes.demo_models.IDPatchLoadDemoModels.execute().args[1]
    tokens = clip.tokenize("two people in front of a blue wall, wearing red shirts")
    made = {name: scene.inputs[name] for name in SAMPLER if name not in ("seed", "steps")}
    made |= {"seed": 3, "steps": 15, "injection_ratio": 1.0, "vae": scene.inputs["vae"]}
    made |= {"positive": clip.encode_from_tokens_scheduled(tokens), "scorer": scorer}
    made |= {"tries": 3, "least_similarity": 0.0, "batch_size": 1}
    return made | {"refine_steps": 4, "crop_size": 96, "face_size": 30}


@torch.inference_mode()
def run(comfy: Any, inputs: dict[str, Any], **changes: Any) -> Any:
    return comfy.nodes.until_right.IDPatchUntilRight.execute(**{**inputs, **changes})


@torch.inference_mode()
def sample(comfy: Any, inputs: dict[str, Any], seed: int) -> torch.Tensor:
    """Return the image of the ID-Patch Sampler and VAE Decode."""
    given = {name: inputs[name] for name in (*SAMPLER, "injection_ratio")} | {"seed": seed}
    latent = comfy.nodes.sampler.IDPatchSampler.execute(**given).args[0]
    return inputs["vae"].decode(latent["samples"])


@torch.inference_mode()
def refine(comfy: Any, scene: Scene, inputs: dict[str, Any], image: Any, seed: int) -> torch.Tensor:
    """Return the image after Refine Identities of both people."""
    given = {name: inputs[name] for name in SAMPLER} | {"seed": seed, "image": image}
    given["steps"] = inputs["refine_steps"]
    given = {**scene.inputs, **given, "positive": scene.inputs["positive"], "keep": "if_better"}
    return comfy.nodes.refine.IDPatchRefine.execute(**given, scorer=inputs["scorer"]).args[0]


def test_an_image_that_is_right_is_the_id_patch_samplers(comfy, inputs):
    image, report, sampled, right = run(comfy, inputs).args
    assert torch.equal(image, sample(comfy, inputs, 3))
    assert report.startswith(
        f"Each person is right after 1 image of at most 3.\n  Image 1, seed 3: {RIGHT}"
    )
    assert (sampled, right) == (1, True)


def test_images_are_sampled_with_the_next_seeds_until_one_is_right(comfy, inputs):
    """No image reaches a similarity of 1, so that all are sampled and the best is kept."""
    output = run(comfy, inputs, least_similarity=1.0)
    image, report, sampled, right = output.args
    assert (sampled, right) == (3, False)
    assert [line.split(":")[0].strip() for line in report.splitlines()[1:]] == [
        f"Image {number}, seed {number + 2}" for number in (1, 2, 3)
    ]
    (shown,) = output.ui["idpatch_tries"]
    assert report == "\n".join([shown["outcome"], *(f"  {line}" for line in shown["tries"])])
    assert torch.equal(image, sample(comfy, inputs, 3 + shown["best"]))
    scores = [score_weakest(comfy, inputs, sample(comfy, inputs, seed)) for seed in (3, 4, 5)]
    assert shown["best"] == max(range(3), key=scores.__getitem__)
    # With the best one's own score as the least, it stops there.
    enough = run(comfy, inputs, least_similarity=max(scores) - 1e-4)
    assert enough.args[2:] == (shown["best"] + 1, True)
    assert torch.equal(enough.args[0], image)


def score_weakest(comfy: Any, inputs: dict[str, Any], image: torch.Tensor) -> float:
    people = inputs["id_patches"].people
    verify = comfy.nodes.verify.IDPatchVerify.execute
    report = verify(image, list(people), inputs["id_hint"], inputs["scorer"]).args[1]
    return comfy.nodes.report.read_scores(report)[0][0]


def test_who_is_wrong_is_refined_as_by_refine_identities(comfy, scene, inputs):
    # Without ID tokens the image resembles no one; those of the heads are always there.
    few = inputs | {"injection_ratio": 0.0, "refine_steps": 10, "least_similarity": 1.0, "tries": 1}
    output = run(comfy, few, one_person=scene.inputs["positive"])
    before = sample(comfy, few, 3)
    after = refine(comfy, scene, few, before, 3)
    assert not torch.equal(after, before)
    (shown,) = output.ui["idpatch_tries"]
    assert torch.equal(output.args[0], (before, after)[shown["best"]])
    assert shown["best"] == 1
    assert shown["tries"][1].startswith("Image 1, seed 3, Ann and Bob refined: Ann: ")
    assert output.args[2:] == (1, False)


def test_each_output_has_seeds_of_its_own(comfy, inputs):
    both = run(comfy, inputs, batch_size=2)
    assert both.args[0].shape == (2, HEIGHT, WIDTH, 3)
    assert torch.equal(both.args[0][:1], sample(comfy, inputs, 3))
    assert torch.equal(both.args[0][1:], sample(comfy, inputs, 4))
    assert "Output 2: Each person is right" in both.args[1]
    assert both.args[2] == 2
    assert len(both.ui["images"]) == 2


def test_the_model_of_the_check_is_named_as_biased(comfy, inputs):
    (warning,) = run(comfy, inputs, steps=15).ui["idpatch_warnings"]
    assert "biased upwards" in warning


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"face_size": 40}, r"^crop_size: 96 is too small for a face 40 wide"),
        ({"tries": 0}, r"^tries: expected a whole number from 1 to 64, got 0"),
        ({"scorer": 3}, r"^scorer: expected a scorer"),
    ],
)
def test_inputs_that_do_not_fit(comfy, scene, inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run(comfy, inputs, one_person=scene.inputs["positive"], **changes)


def test_no_one_has_a_placement(comfy, inputs):
    far = comfy.idpatch_core.layout.Point(WIDTH + 99.0, 0.0)
    hint = inputs["id_hint"]._replace(points=(None, far))
    with pytest.raises(ValueError, match=r"^id_hint: no one has a placement in the image"):
        run(comfy, inputs, id_hint=hint)


def test_one_progress_bar_for_all_tries(comfy, scene, inputs):
    import comfy.utils as utils

    seen = []
    utils.set_progress_bar_global_hook(lambda value, total, *_, **__: seen.append((value, total)))
    try:
        settings = {"steps": 5, "refine_steps": 2, "tries": 2, "least_similarity": 1.0}
        run(comfy, inputs, one_person=scene.inputs["positive"], **settings)
    finally:
        utils.set_progress_bar_global_hook(None)
    assert {total for _, total in seen} == {18} and seen[-1] == (18, 18) and len(seen) > 1
    assert [step for step, _ in seen] == sorted({step for step, _ in seen})


@pytest.mark.parametrize("last", [1, 6])
def test_it_stops_when_cancelled(comfy, inputs, last):
    import comfy.model_management as management
    import comfy.utils as utils

    seen = []

    def cancel(value: int, *_: Any, **__: Any) -> None:
        seen.append(value)
        if value >= last:
            management.interrupt_current_processing(True)

    utils.set_progress_bar_global_hook(cancel)
    try:
        with pytest.raises(management.InterruptProcessingException):
            run(comfy, inputs, steps=5, least_similarity=1.0)
    finally:
        utils.set_progress_bar_global_hook(None)
        management.interrupt_current_processing(False)
    assert last <= seen[-1] <= last + 1
