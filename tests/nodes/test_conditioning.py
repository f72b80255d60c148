import pytest
import torch
from diffusers_reference import random_case
from sampling import composable_conditioning, node_inputs


def test_text_and_tokens_are_as_long_in_both_branches(comfy, tiny_sdxl):
    positive, negative = composable_conditioning(comfy, tiny_sdxl, random_case(people=3))
    lengths = [[text.shape[1] for text, _ in branch] for branch in (positive, negative)]
    assert lengths == [[77 + 48, 77]] * 2


def test_long_prompts_are_not_cut(comfy, tiny_sdxl):
    case = random_case(people=1)
    long = [[torch.randn(1, 231, 2048), {"pooled_output": case.pooled[1:]}]]
    positive, _ = composable_conditioning(comfy, tiny_sdxl, case, positive=long)
    assert positive[0][0].shape == (1, 231 + 16, 2048)
    assert torch.equal(positive[0][0][:, :231], long[0][0])


def test_token_strength_multiplies_that_of_each_person(comfy, tiny_sdxl):
    case = random_case(people=2)
    id_patches = node_inputs(comfy, case)["id_patches"]
    first, second = id_patches.people
    weaker = id_patches._replace(people=(first, second._replace(token_strength=0.5)))
    positive, negative = composable_conditioning(
        comfy, tiny_sdxl, case, id_patches=weaker, token_strength=0.5
    )
    tokens, zero = case.tokens, case.zero_tokens
    scaled = [torch.lerp(zero[i], tokens[i], strength) for i, strength in ((0, 0.5), (1, 0.25))]
    assert torch.equal(positive[0][0][0, 77:], torch.cat(scaled))
    assert torch.equal(negative[0][0][0, 77:], zero.flatten(0, 1))


@pytest.mark.parametrize("strength", [-0.1, 10.5, float("nan")])
def test_bad_token_strengths_are_refused(comfy, tiny_sdxl, strength):
    message = f"token_strength: expected a finite number.*, got {strength:g}"
    with pytest.raises(ValueError, match=message):
        composable_conditioning(comfy, tiny_sdxl, random_case(), token_strength=strength)


def test_text_of_another_model_is_refused(comfy, tiny_sdxl):
    sd15 = [[torch.zeros(1, 77, 768), {"pooled_output": torch.zeros(1, 768)}]]
    with pytest.raises(ValueError, match="positive: its text tokens are 768 wide"):
        composable_conditioning(comfy, tiny_sdxl, random_case(), positive=sd15)


def test_tokens_are_not_injected_twice(comfy, tiny_sdxl):
    case = random_case(people=2)
    positive, _ = composable_conditioning(comfy, tiny_sdxl, case)
    with pytest.raises(ValueError, match="positive: it already carries the ID tokens of 2 people"):
        composable_conditioning(comfy, tiny_sdxl, case, positive=positive)


def test_no_people_are_refused(comfy, tiny_sdxl):
    empty = comfy.idpatch_core.projection.IDPatches(
        torch.zeros(0, 3, 64, 64), torch.zeros(0, 16, 2048), torch.zeros(0, 16, 2048), ()
    )
    with pytest.raises(ValueError, match="id_patches: the list is empty"):
        composable_conditioning(comfy, tiny_sdxl, random_case(), id_patches=empty)


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


def test_texts_of_unequal_length_are_warned_of_at_the_node(comfy, tiny_sdxl, caplog):
    case = random_case(people=1)
    inputs = node_inputs(comfy, case)
    del inputs["id_hint"]
    inject = comfy.nodes.conditioning.IDPatchTokenInjector.execute
    assert inject(**inputs, injection_ratio=0.8).ui == {"idpatch_warnings": []}
    inputs["negative"] = [[torch.randn(1, 154, 2048), {"pooled_output": case.pooled[:1]}]]
    (warning,) = inject(**inputs, injection_ratio=0.8).ui["idpatch_warnings"]
    assert "they have 93 and 170 tokens" in warning and caplog.text.count(warning) == 1


def test_a_range_of_sigmas_is_refused_where_it_would_be_lost(comfy, tiny_sdxl):
    case = random_case()
    ranged = [[case.text[1:], {"pooled_output": case.pooled[1:], "timestep_start": 5.0}]]
    with pytest.raises(ValueError, match="positive: it is limited to a range of sigmas"):
        composable_conditioning(comfy, tiny_sdxl, case, positive=ranged)
    positive, _ = composable_conditioning(comfy, tiny_sdxl, case._replace(ratio=1.0), ranged)
    assert positive[0][1]["timestep_start"] == 5.0


def test_empty_conditioning_is_refused(comfy, tiny_sdxl):
    with pytest.raises(ValueError, match="positive: expected conditioning, got a list of 0"):
        composable_conditioning(comfy, tiny_sdxl, random_case(), positive=[])


def test_people_off_the_canvas_get_no_tokens(comfy, tiny_sdxl):
    case = random_case(people=3)
    inputs = node_inputs(comfy, case)
    hint = inputs["id_hint"]
    injector = comfy.nodes.conditioning.IDPatchTokenInjector
    texts = (inputs["positive"], inputs["negative"], inputs["id_patches"], 1.0, 1.0)
    off = hint._replace(points=(hint.points[0], None, hint.points[2]))
    positive, negative = injector.execute(*texts, id_hint=off).args
    assert torch.equal(positive[0][0][0, 77:], case.tokens[[0, 2]].flatten(0, 1))
    assert negative[0][0].shape == positive[0][0].shape
    none = hint._replace(points=(None, None, None))
    assert injector.execute(*texts, id_hint=none).args[0] is inputs["positive"]
