import pytest
import torch
from diffusers_reference import random_case
from sampling import composable_conditioning, node_inputs, run_composable


def test_both_branches_share_one_controlnet_copy(comfy, tiny_sdxl):
    positive, negative = composable_conditioning(comfy, tiny_sdxl, random_case())
    controls = {options["control"] for _, options in positive + negative}
    assert len(positive) == len(negative) == 2 and len(controls) == 1
    assert controls.pop() is not tiny_sdxl.control_net


def test_text_and_tokens_are_as_long_in_both_branches(comfy, tiny_sdxl):
    positive, negative = composable_conditioning(comfy, tiny_sdxl, random_case(people=3))
    lengths = [[text.shape[1] for text, _ in branch] for branch in (positive, negative)]
    assert lengths == [[77, 77 + 48]] * 2


def test_long_prompts_are_not_cut(comfy, tiny_sdxl):
    case = random_case(people=1)
    long = [[torch.randn(1, 231, 2048), {"pooled_output": case.pooled[1:]}]]
    positive, _ = composable_conditioning(comfy, tiny_sdxl, case, positive=long)
    assert positive[1][0].shape == (1, 231 + 16, 2048)
    assert torch.equal(positive[1][0][:, :231], long[0][0])


def test_the_hint_reaches_the_controlnet_untouched(comfy, tiny_sdxl):
    case = random_case()
    positive, _ = composable_conditioning(comfy, tiny_sdxl, case)
    hint = node_inputs(comfy, case)["id_hint"].image
    assert torch.equal(positive[0][1]["control"].cond_hint_original, hint)


def test_sampling_a_latent_of_another_size_is_refused(comfy, tiny_sdxl):
    case = random_case(height=192, width=128)._replace(noise=torch.zeros(1, 4, 32, 24))
    with pytest.raises(ValueError, match=r"it is 128x192, but the latent .* is for 192x256 pixels"):
        run_composable(comfy, tiny_sdxl, case, "euler", "normal")


def test_one_strength_for_everybody_or_one_for_each(comfy):
    parse = comfy.nodes.conditioning.parse_strengths
    assert parse("0.5", ("Ann", "Bob")) == [0.5, 0.5]
    assert parse(" 1, 0.25 ", ("Ann", "Bob")) == [1.0, 0.25]


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ("strong", "strengths: expected numbers .* got 'strong'"),
        ("nan", "each must be from 0 to 10"),
        ("1,2,3", r"got 3 numbers for 2 people \(person 1, person 2\)"),
        ("", "strengths: expected numbers"),
    ],
)
def test_bad_strengths_are_refused(comfy, tiny_sdxl, strengths, message):
    with pytest.raises(ValueError, match=message):
        composable_conditioning(comfy, tiny_sdxl, random_case(), strengths=strengths)


def test_text_of_another_model_is_refused(comfy, tiny_sdxl):
    sd15 = [[torch.zeros(1, 77, 768), {"pooled_output": torch.zeros(1, 768)}]]
    with pytest.raises(ValueError, match="positive: its text tokens are 768 wide"):
        composable_conditioning(comfy, tiny_sdxl, random_case(), positive=sd15)


def test_tokens_are_not_injected_twice(comfy, tiny_sdxl):
    case = random_case(people=2)
    positive, _ = composable_conditioning(comfy, tiny_sdxl, case)
    with pytest.raises(ValueError, match="positive: it carries the ID tokens of 2 people already"):
        composable_conditioning(comfy, tiny_sdxl, case, positive=positive)


def test_nobody_is_refused(comfy, tiny_sdxl):
    nobody = comfy.idpatch_core.projection.IDPatches(
        torch.zeros(0, 3, 64, 64), torch.zeros(0, 16, 2048), torch.zeros(0, 16, 2048), ()
    )
    with pytest.raises(ValueError, match="id_patches: there is nobody in it"):
        composable_conditioning(comfy, tiny_sdxl, random_case(), id_patches=nobody)


def test_controlnets_of_other_models_are_refused(comfy, tiny_sdxl):
    import comfy.cldm.cldm as cldm
    import comfy.controlnet as controlnet
    import comfy.ops as ops
    from reference_models import CONFIG

    check = comfy.nodes.conditioning.check_control_net
    check(tiny_sdxl.control_net, 2048)
    unused = ("out_channels", "transformer_depth_output")
    config = {k: v for k, v in CONFIG.items() if k not in unused} | {"context_dim": 768}
    network = cldm.ControlNet(**config, hint_channels=3, operations=ops.disable_weight_init)
    with pytest.raises(ValueError, match="control_net: it reads text tokens 768 wide"):
        check(controlnet.ControlNet(network), 2048)
    with pytest.raises(ValueError, match="expected an SDXL ControlNet, got ControlLora"):
        check(controlnet.ControlLora({}), 2048)
    with pytest.raises(ValueError, match="expected an SDXL ControlNet, got Linear"):
        check(controlnet.ControlNet(torch.nn.Linear(1, 1)), 2048)


def test_a_model_with_locations_needs_the_hint(comfy, tiny_sdxl):
    inputs = node_inputs(comfy, random_case())
    hint = inputs.pop("id_hint")
    inputs["id_patches"] = inputs["id_patches"]._replace(
        location=lambda points: points.sum(-1, keepdim=True)[..., None].expand(-1, -1, 2048)
    )
    inject = comfy.nodes.conditioning.IDPatchTokenInjector.execute
    with pytest.raises(ValueError, match=r"id_hint: .* Connect the Patch Placer"):
        inject(**inputs, injection_ratio=1.0)
    positive, negative = inject(**inputs, injection_ratio=1.0, id_hint=hint).args
    shares = [p.x / hint.width + p.y / hint.height for p in hint.points]
    for (text, _), tokens in ((positive[0], "tokens"), (negative[0], "zero_tokens")):
        plain = getattr(inputs["id_patches"], tokens)
        tagged = text[0, 77:].reshape(plain.shape)
        for person, share in enumerate(shares):
            torch.testing.assert_close(
                tagged[person] - plain[person], torch.full((16, 2048), share)
            )
