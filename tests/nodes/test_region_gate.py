import pytest
import torch
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


def spy(calls):
    """A replacement of the cross-attention that remembers what it was given."""
    from comfy.ldm.modules.attention import optimized_attention

    def attention(q, k, v, options):
        out = optimized_attention(q, k, v, options["n_heads"])
        calls.append((q, k, v, options["activations_shape"], options["n_heads"], out))
        return out

    return attention


def test_each_layer_equals_the_formula_and_other_replacements_are_kept(comfy, tiny_sdxl, case):
    regions = comfy.idpatch_core.regions
    model, plain = tiny_sdxl.model.clone(), []
    results = []

    def shifted(q, k, v, options):
        return spy(plain)(q, k, v, options) + 0.25

    blocks = comfy.nodes.region_gate.BLOCKS
    for block in blocks:
        model.set_model_attn2_replace(shifted, *block)
    model = gated(comfy, model, case)
    replaced = model.model_options["transformer_options"]["patches_replace"]["attn2"]

    def watched(inner):
        def attention(q, k, v, options):
            out = inner(q, k, v, options)
            results.append(out)
            return out

        return attention

    for block in list(replaced):
        replaced[block] = watched(replaced[block])
    run_sampler(comfy, with_model(tiny_sdxl, model), case, injection_ratio=1.0)
    assert len(results) == len(plain) > 0
    hint = node_inputs(comfy, case)["id_hint"]
    for (q, k, v, shape, heads, out), result in zip(plain, results, strict=True):
        rows, columns = shape[-2:]
        distance = regions.distances(hint.figures, rows, columns, hint.width, hint.height)
        people = regions.attention_bias(distance, 0.1).flatten(1).double()  # (F, Q)
        text, per_person = 77, (k.shape[1] - 77) // len(people)
        bias = torch.zeros(q.shape[1], k.shape[1], dtype=torch.float64)
        for person, values in enumerate(people):
            first = text + person * per_person
            bias[:, first : first + per_person] = values[:, None]
        q, k, v = (x.double().unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias
        expected = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        torch.testing.assert_close(result.double(), expected + 0.25, atol=2e-5, rtol=1e-4)
        assert (result - 0.25 - out).abs().max() > 1e-5  # the gate changes every layer


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
