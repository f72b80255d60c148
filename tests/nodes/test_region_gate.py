import pytest
import torch
from attention import attend_by_formula, nearest_bias, watch_layers
from diffusers_reference import random_case
from sampling import composable_conditioning, node_inputs, run_composable, run_sampler

SMALL = {"people": 2, "steps": 4, "ratio": 0.5, "points": [[40.0, 60.0], [100.0, 60.0]]}


def gated(comfy, model, case, outside=0.1):
    hint = node_inputs(comfy, case)["id_hint"]
    return comfy.nodes.region_gate.IDPatchRegionGate.execute(model, hint, outside).args[0]


def with_model(tiny_sdxl, model):
    return tiny_sdxl._replace(model=model)


@pytest.fixture(scope="module")
def case():
    return random_case(**SMALL)


def test_a_weight_of_1_is_no_gate(comfy, tiny_sdxl, case):
    assert gated(comfy, tiny_sdxl.model, case, 1.0) is tiny_sdxl.model


def test_the_gate_acts_and_leaves_nothing_behind(comfy, tiny_sdxl, case):
    plain = run_sampler(comfy, tiny_sdxl, case)
    model = gated(comfy, tiny_sdxl.model, case)
    assert not torch.equal(run_sampler(comfy, with_model(tiny_sdxl, model), case), plain)
    assert torch.equal(run_sampler(comfy, tiny_sdxl, case), plain)


def test_before_the_tokens_it_is_the_plain_model_bit_for_bit(comfy, tiny_sdxl, case):
    plain = run_sampler(comfy, tiny_sdxl, case, injection_ratio=0.0)
    model = with_model(tiny_sdxl, gated(comfy, tiny_sdxl.model, case))
    assert torch.equal(run_sampler(comfy, model, case, injection_ratio=0.0), plain)


def test_both_routes_agree(comfy, tiny_sdxl, case):
    model = with_model(tiny_sdxl, gated(comfy, tiny_sdxl.model, case))
    sampler = run_sampler(comfy, model, case, "euler", "normal")
    composable = run_composable(comfy, model, case, "euler", "normal")
    assert torch.equal(sampler, composable)


def shift(model):
    """Another pack's replacement of the cross-attention."""
    from comfy.ldm.modules.attention import optimized_attention

    def shifted(q, k, v, options):
        return optimized_attention(q, k, v, options["n_heads"]) + 0.25

    for side, number in [(s, n) for s in ("input", "output") for n in range(12)] + [("middle", 0)]:
        model.set_model_attn2_replace(shifted, side, number)


def add_tokens(model):
    """Another pack's patch of the cross-attention, with 3 tokens behind the text."""

    def patch(n, context, value, options):
        more = torch.full((len(context), 3, context.shape[-1]), 0.1)
        return 1.1 * n, torch.cat([context, more], 1), torch.cat([value, 2 * more], 1)

    model.set_model_attn2_patch(patch)


def add_lora(model):
    weights = model.model.state_dict()
    keys = [key for key in weights if key.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))]
    generator = torch.Generator().manual_seed(0)
    patches = {key: (torch.randn(weights[key].shape, generator=generator) / 50,) for key in keys}
    assert model.add_patches(patches, 1.0)


def double_negative(inputs, case):
    """A negative text that is, with its ID tokens, twice as long as the positive one."""
    ((text, options),) = inputs["negative"]
    tokens = inputs["id_patches"].tokens[..., 0].numel()
    length = 2 * text.shape[1] + tokens
    return {"negative": [[text.repeat(1, 3, 1)[:, :length], options]]}


def two_latents(inputs, case):
    return {"latent_image": {"samples": torch.zeros(2, *case.noise.shape[1:])}}


# What the model has already, what the sampler gets, what is added to the result, and whose tokens.
SITUATIONS = {
    "nothing else": (None, None, 0.0, 0),
    "a batch": (None, two_latents, 0.0, 0),
    "a LoRA": (add_lora, None, 0.0, 0),
    "another replacement": (shift, None, 0.25, 0),
    "another patch": (add_tokens, None, 0.0, 3),
    "unequal prompts": (None, double_negative, 0.0, 0),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_layer_equals_the_formula(comfy, tiny_sdxl, case, name):
    change, more_inputs, added, foreign = SITUATIONS[name]
    model = tiny_sdxl.model.clone()
    if change:
        change(model)
    model = gated(comfy, model, case)
    layers = watch_layers(model)
    inputs = node_inputs(comfy, case)
    more = more_inputs(inputs, case) if more_inputs else {}
    run_sampler(comfy, with_model(tiny_sdxl, model), case, injection_ratio=1.0, **more)
    texts = [(more.get(key) or inputs[key])[0][0] for key in ("positive", "negative")]
    people, per_person, _ = inputs["id_patches"].tokens.shape
    assert layers
    for layer in layers:
        hint, keys = inputs["id_hint"], layer.k.shape[1]
        size = layer.rows, layer.columns, hint.width, hint.height
        distance = comfy.idpatch_core.regions.distances(hint.figures, *size).flatten(1)
        values, biases = nearest_bias(distance, 0.1), []
        for branch in layer.branches:
            start = texts[branch].shape[1]
            bias = torch.zeros(layer.rows * layer.columns, keys, dtype=torch.float64)
            for key in range(keys - foreign):
                token = key % (start + people * per_person) - start
                if token >= 0:
                    bias[:, key] = values[token // per_person]
            biases.append(bias)
        expected = attend_by_formula(layer, biases) + added
        torch.testing.assert_close(layer.out.double(), expected, atol=2e-5, rtol=1e-4)
        plain = attend_by_formula(layer, [torch.zeros_like(b) for b in biases]) + added
        assert (layer.out - plain).abs().max() > 1e-5  # the gate changes every layer


def test_hooks_of_an_entry_act_as_on_the_model(comfy, tiny_sdxl, case):
    import comfy.hooks as hooks

    weights = tiny_sdxl.model.model.state_dict()
    key = next(key for key in weights if key.endswith("attn2.to_v.weight"))
    patch = {key: (torch.randn(weights[key].shape, generator=torch.Generator().manual_seed(1)),)}
    group = hooks.create_hook_model_as_lora(None, None, 1.0, 1.0)
    hook = group.hooks[0]
    hook.weights, hook.need_weight_init = patch, False
    inputs = node_inputs(comfy, case)
    hooked = {
        name: [[text, {**options, "hooks": group}] for text, options in inputs[name]]
        for name in ("positive", "negative")
    }
    model = gated(comfy, tiny_sdxl.model, case)
    on_entries = run_sampler(comfy, with_model(tiny_sdxl, model), case, **hooked)
    changed = tiny_sdxl.model.clone()
    changed.add_patches(patch, 1.0)
    model = with_model(tiny_sdxl, gated(comfy, changed, case))
    on_model = run_sampler(comfy, model, case)
    assert relative_difference(on_entries, on_model) < 1e-5
    assert relative_difference(on_entries, run_sampler(comfy, tiny_sdxl, case, **hooked)) > 1e-4


def test_an_entry_of_an_area_sees_the_regions_of_that_area(comfy, tiny_sdxl, case):
    import nodes as comfyui_nodes  # pyright: ignore[reportMissingImports]

    inputs = node_inputs(comfy, case)
    hint = inputs["id_hint"]
    injector = comfy.nodes.conditioning.IDPatchTokenInjector
    given = {key: inputs[key] for key in ("positive", "negative", "id_patches")}
    positive, negative = injector.execute(**given, injection_ratio=1.0).args
    rows, columns = case.noise.shape[-2:]
    high, wide, top, left = rows // 2, columns // 2, rows // 4, columns // 2
    cells = [[text, {**options, "area": (high, wide, top, left)}] for text, options in positive]
    model = gated(comfy, tiny_sdxl.model, case)
    layers = watch_layers(model)
    latent = {"samples": torch.zeros_like(case.noise)}
    settings = (0, 2, 1.0, "euler", "normal", cells, negative, latent)  # without the negative
    with torch.inference_mode():
        comfyui_nodes.common_ksampler(model, *settings)
    area = (8.0 * left, 8.0 * top, 8.0 * wide, 8.0 * high)
    assert layers
    for layer in layers:
        assert layer.branches == [0]
        size = layer.rows, layer.columns, hint.width, hint.height
        distance = comfy.idpatch_core.regions.distances(hint.figures, *size, area).flatten(1)
        bias = torch.zeros(layer.rows * layer.columns, layer.k.shape[1], dtype=torch.float64)
        people, per_person, _ = inputs["id_patches"].tokens.shape
        for person, values in enumerate(nearest_bias(distance, 0.1)):
            first = bias.shape[1] - (people - person) * per_person
            bias[:, first : first + per_person] = values[:, None]
        expected = attend_by_formula(layer, [bias])
        torch.testing.assert_close(layer.out.double(), expected, atol=2e-5, rtol=1e-4)


def test_an_attention_that_refuses_masks_is_as_any_other(comfy, tiny_sdxl, case, monkeypatch):
    """Flash attention refuses masks, and sage attention may ignore them."""
    import comfy.ldm.modules.attention as attention

    model = with_model(tiny_sdxl, gated(comfy, tiny_sdxl.model, case))
    expected = run_sampler(comfy, model, case)
    plain, calls = attention.optimized_attention, []

    def without_masks(q, k, v, heads, mask=None, **options):
        assert mask is None
        calls.append(heads)
        return plain(q, k, v, heads, **options)

    monkeypatch.setattr(attention, "optimized_attention", without_masks)
    monkeypatch.setattr(attention, "optimized_attention_masked", without_masks)
    monkeypatch.setattr(comfy.nodes.region_gate, "optimized_attention", without_masks)
    assert torch.equal(run_sampler(comfy, model, case), expected)
    assert calls


def test_a_second_gate_is_refused(comfy, tiny_sdxl, case):
    with pytest.raises(ValueError, match="model: it has a region gate already"):
        gated(comfy, gated(comfy, tiny_sdxl.model, case), case)


def relative_difference(a, b):
    return float((a - b).norm() / b.norm())


def test_entries_of_one_batch_are_gated_as_if_each_were_alone(comfy, tiny_sdxl, case, monkeypatch):
    import comfy.samplers as samplers

    model = with_model(tiny_sdxl, gated(comfy, tiny_sdxl.model, case))
    inputs = node_inputs(comfy, case)
    ((text, options),) = inputs["positive"]
    # An entry whose length with its ID tokens is twice the other's: ComfyUI repeats the other.
    tokens = inputs["id_patches"].tokens[..., 0].numel()
    twice = text.repeat(1, 3, 1)[:, : 2 * text.shape[1] + tokens]
    positive = [[text, options], [twice, options]]
    latent = {"samples": torch.zeros(2, *case.noise.shape[1:])}
    settings = {"positive": positive, "latent_image": latent, "injection_ratio": 1.0}
    together = run_sampler(comfy, model, case, **settings)
    calls = []

    def same(a, b):
        calls.append(a)
        return a is b

    monkeypatch.setattr(samplers, "can_concat_cond", same)
    alone = run_sampler(comfy, model, case, **settings)
    assert calls
    assert relative_difference(alone, together) < 1e-4


def test_a_prompt_without_id_tokens_is_left_alone(comfy, tiny_sdxl, case):
    import comfy.sample as sample
    import comfy.samplers as samplers

    positive, negative = composable_conditioning(comfy, tiny_sdxl, case)
    other = [[text.flip(1), options] for text, options in node_inputs(comfy, case)["positive"]]
    model = gated(comfy, tiny_sdxl.model, case)

    def run(model, positive, negative):
        noise = case.noise
        with torch.inference_mode():
            return sample.sample(
                model, noise, 2, 3.0, "euler", "normal", positive, negative, torch.zeros_like(noise)
            )

    assert torch.isfinite(run(model, positive + other, negative)).all()
    assert torch.equal(run(model, other, other), run(tiny_sdxl.model, other, other))
    assert samplers.SAMPLER_NAMES


def test_other_people_than_those_of_the_hint_are_refused(comfy, tiny_sdxl, case):
    other = random_case(**{**SMALL, "people": 3, "points": [*SMALL["points"], [70.0, 90.0]]})
    model = with_model(tiny_sdxl, gated(comfy, tiny_sdxl.model, other))
    with pytest.raises(ValueError, match=r"id_hint places 3 people.*ID tokens of 2"):
        run_sampler(comfy, model, case)
