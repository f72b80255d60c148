import math

import pytest
import torch
from diffusers_reference import random_case
from sampling import node_inputs, run_node, run_sampler


def layers(tiny_sdxl):
    for network in (tiny_sdxl.model.model.diffusion_model, tiny_sdxl.control_net.control_model):
        for name, layer in network.named_modules():
            if name.endswith(("attn2.to_k", "attn2.to_v")):
                yield layer


def assert_nothing_is_left(tiny_sdxl):
    assert [layer for layer in layers(tiny_sdxl) if "forward" in vars(layer)] == []


VARIANTS = {
    "three people": ({"people": 3}, {}),
    "tokens in every step": ({"ratio": 1.0}, {}),
    "no guidance": ({"cfg": 1.0}, {}),
    "hidden patches": ({}, {"guide_patches": True}),
    "ends": ({"steps": 4}, {"control_end": 0.5, "guidance_end": 0.75}),
    "batch": ({}, {"latent_image": {"samples": torch.zeros(3, 4, 24, 16)}}),
    "two evaluations a step": ({"steps": 3}, {"sampler_name": "heun", "scheduler": "karras"}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_latent_is_the_same_bit_for_bit(comfy, tiny_sdxl, variant):
    settings, options = VARIANTS[variant]
    case = random_case(**settings)
    expected = run_sampler(comfy, tiny_sdxl, case, **options)
    assert torch.equal(run_sampler(comfy, tiny_sdxl, case, reuse_tokens=True, **options), expected)
    assert_nothing_is_left(tiny_sdxl)


def test_each_layer_projects_each_text_once(comfy, tiny_sdxl, monkeypatch):
    calls = {layer: [] for layer in layers(tiny_sdxl)}
    for layer, seen in calls.items():
        forward = type(layer).forward
        monkeypatch.setattr(
            layer,
            "forward",
            lambda x, layer=layer, seen=seen, forward=forward: (
                seen.append(x.shape[1]) or forward(layer, x)
            ),
        )
    case = random_case(people=2, steps=6, ratio=0.5)
    run_sampler(comfy, tiny_sdxl, case)
    assert set(map(tuple, calls.values())) == {(77, 77, 77, 109, 109, 109)}
    for seen in calls.values():
        seen.clear()
    run_sampler(comfy, tiny_sdxl, case, reuse_tokens=True)
    assert set(map(tuple, calls.values())) == {(77, 109)}
    assert all(vars(layer)["forward"].__name__ == "<lambda>" for layer in calls)


def test_texts_of_different_lengths_are_kept_apart(comfy, tiny_sdxl):
    case = random_case(steps=4)
    text, options = node_inputs(comfy, case)["positive"][0]
    longer = [[torch.cat([text, text.flip(1)], dim=1), options]]
    expected = run_sampler(comfy, tiny_sdxl, case, positive=longer)
    made = run_sampler(comfy, tiny_sdxl, case, positive=longer, reuse_tokens=True)
    assert torch.equal(made, expected)


def test_a_lora_and_the_region_gate_keep_working(comfy, tiny_sdxl):
    case = random_case(people=2, steps=3)
    key = "diffusion_model.output_blocks.0.1.transformer_blocks.0.attn2.to_v.weight"
    model = tiny_sdxl.model.clone()
    weight = tiny_sdxl.model.model.state_dict()[key]
    model.add_patches({key: (torch.randn_like(weight),)}, 1.0)
    hint = node_inputs(comfy, case)["id_hint"]
    (gated,) = comfy.nodes.region_gate.IDPatchRegionGate.execute(model, hint, 0.1).args
    plain = run_sampler(comfy, tiny_sdxl, case)
    for changed in (model, gated):
        expected = run_sampler(comfy, tiny_sdxl, case, model=changed)
        made = run_sampler(comfy, tiny_sdxl, case, model=changed, reuse_tokens=True)
        assert torch.equal(made, expected)
        assert not torch.equal(made, plain)
    assert torch.equal(run_sampler(comfy, tiny_sdxl, case, reuse_tokens=True), plain)


class Cancelled(Exception):
    pass


@torch.inference_mode()
def test_a_cancelled_run_leaves_nothing_behind(comfy, tiny_sdxl):
    def cancel(apply_model, options):
        apply_model(options["input"], options["timestep"], **options["c"])
        raise Cancelled

    model = tiny_sdxl.model.clone()
    model.set_model_unet_function_wrapper(cancel)
    with pytest.raises(Cancelled):
        run_sampler(comfy, tiny_sdxl, random_case(), model=model, reuse_tokens=True)
    assert_nothing_is_left(tiny_sdxl)


def scale_tokens(n, context, value, options):
    return n, context * options["transformer_index"], value


@pytest.mark.parametrize("patch", ["attn2_patch", "attn2_replace"])
def test_it_has_no_effect_where_another_node_patches_the_attention(comfy, tiny_sdxl, patch):
    from comfy.ldm.modules.attention import optimized_attention

    def replace(q, k, v, options):
        k.mul_(0.5)  # a node may do so: it is the only reader
        return optimized_attention(q, k, v, options["n_heads"])

    model = tiny_sdxl.model.clone()
    if patch == "attn2_patch":
        model.set_model_attn2_patch(scale_tokens)
    else:
        model.set_model_attn2_replace(replace, "middle", 0)
    case = random_case(steps=3)
    expected = run_sampler(comfy, tiny_sdxl, case, model=model)
    made = run_node(comfy, tiny_sdxl, case, model=model, reuse_tokens=True)
    assert torch.equal(made.args[0]["samples"], expected)
    warning = "reuse_tokens: it has no effect, since another node patches the model's"
    assert any(text.startswith(warning) for text in made.ui["idpatch_warnings"])


def test_it_has_no_effect_with_hooks(comfy, tiny_sdxl):
    import comfy.hooks as comfy_hooks

    case = random_case(steps=4)
    text, options = node_inputs(comfy, case)["positive"][0]
    key = "diffusion_model.output_blocks.0.1.transformer_blocks.0.attn2.to_v.weight"
    weight = tiny_sdxl.model.model.state_dict()[key]
    hooks = comfy_hooks.HookGroup()
    hook = comfy_hooks.WeightHook(strength_model=1.0)
    hook.weights, hook.need_weight_init = {key: (torch.randn_like(weight),)}, False
    hooks.add(hook)
    hooked = [[text, {**options, "hooks": hooks}]]
    expected = run_sampler(comfy, tiny_sdxl, case, positive=hooked)
    made = run_node(comfy, tiny_sdxl, case, positive=hooked, reuse_tokens=True)
    assert torch.equal(made.args[0]["samples"], expected)
    assert any("has hooks" in text for text in made.ui["idpatch_warnings"])


def test_the_cache_is_bounded_and_compares_values(comfy):
    projections = comfy.nodes.token_projections
    layer = torch.nn.Linear(4, 2)
    known = projections.TokenProjections()
    calls = []

    def forward(x):
        calls.append(x)
        return x.sum() + x.new_zeros(x.shape)

    tokens = torch.randn(2, 3, 4)
    one = known.project(layer, forward, tokens)
    assert known.project(layer, forward, tokens.clone()) is one
    assert not torch.equal(known.project(layer, forward, tokens * 2), one)
    assert known.project(layer, forward, tokens.double()).dtype == torch.float64
    assert len(calls) == 3
    number = 0
    for number in range(projections.MOST_TOKENS + 2):
        known.project(layer, forward, tokens + number)
    assert len(known.contents) == projections.MOST_TOKENS
    assert math.isclose(float(known.contents[-1].sub(tokens).mean()), number, rel_tol=1e-5)


def test_networks_get_back_the_forward_that_they_had(comfy):
    network = torch.nn.ModuleDict({"attn2": torch.nn.ModuleDict({"to_k": torch.nn.Linear(2, 2)})})
    layer = network["attn2"]["to_k"]

    def own(x):
        return x + 1

    layer.forward = own
    with comfy.nodes.token_projections.reuse_projections([network]):
        assert layer(torch.ones(1, 1, 2)).tolist() == [[[2, 2]]]
        assert layer.forward is not own
    assert layer.forward is own
