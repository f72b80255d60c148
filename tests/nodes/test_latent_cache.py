import gc
import weakref

import pytest
import torch
from diffusers_reference import random_case
from sampling import node_inputs, run_node


@pytest.fixture
def calls(comfy, tiny_sdxl, monkeypatch):
    """Record the calls of the UNet, with nothing in the cache at first."""
    comfy.nodes.latent_cache._last.clear()
    seen = []
    forward = tiny_sdxl.model.model.diffusion_model.forward

    def spy(*args, **kwargs):
        seen.append(None)
        return forward(*args, **kwargs)

    monkeypatch.setattr(tiny_sdxl.model.model.diffusion_model, "forward", spy)
    return seen


def rename(inputs, *names):
    """Give the people of ID patches and hint other names, as after a new run of the encoders."""
    people = tuple(
        person._replace(name=name)
        for person, name in zip(inputs["id_patches"].people, names, strict=True)
    )
    patches = inputs["id_patches"]._replace(people=people, tokens=inputs["id_patches"].tokens + 0)
    hint = inputs["id_hint"]._replace(names=names, image=inputs["id_hint"].image.clone())
    return {**inputs, "id_patches": patches, "id_hint": hint}


def test_a_new_name_samples_nothing_again(comfy, tiny_sdxl, calls):
    case = random_case(people=2, steps=3)
    inputs = node_inputs(comfy, case)
    first = run_node(comfy, tiny_sdxl, case, **rename(inputs, "Anna", "Berta")).args[0]
    assert len(calls) == 3
    second = run_node(comfy, tiny_sdxl, case, **rename(inputs, "Anna", "Carla")).args[0]
    assert len(calls) == 3
    assert torch.equal(first["samples"], second["samples"])
    with torch.inference_mode():
        second["samples"].zero_()  # belongs to whoever got it
    third = run_node(comfy, tiny_sdxl, case, **rename(inputs, "Dora", "Carla")).args[0]
    assert torch.equal(first["samples"], third["samples"])
    assert len(calls) == 3


def describe_anew(inputs, *phrases):
    """Give the people of ID patches and hint other phrases."""
    people = tuple(
        person._replace(phrase=phrase)
        for person, phrase in zip(inputs["id_patches"].people, phrases, strict=True)
    )
    patches = inputs["id_patches"]._replace(people=people)
    hint = inputs["id_hint"]._replace(phrases=patches.phrases)
    return {**inputs, "id_patches": patches, "id_hint": hint}


def test_a_new_phrase_that_no_node_uses_samples_nothing_again(comfy, tiny_sdxl, calls):
    case = random_case(people=2, steps=3)
    inputs = node_inputs(comfy, case)
    plain = run_node(comfy, tiny_sdxl, case, **inputs).args[0]
    for phrases in (("red shirt", ""), ("blue shirt", ""), ("", "a hat")):
        same = run_node(comfy, tiny_sdxl, case, **describe_anew(inputs, *phrases)).args[0]
        assert torch.equal(same["samples"], plain["samples"])
    assert len(calls) == 3
    comfy.nodes.latent_cache._last.clear()
    inputs = describe_anew(inputs, "red shirt", "a hat")
    sampled = run_node(comfy, tiny_sdxl, case, **inputs).args[0]
    assert torch.equal(sampled["samples"], plain["samples"])
    assert len(calls) == 6


def test_the_same_names_sample_again(comfy, tiny_sdxl, calls):
    case = random_case(people=2, steps=3)
    for _ in range(2):
        run_node(comfy, tiny_sdxl, case, **rename(node_inputs(comfy, case), "Anna", "Berta"))
    assert len(calls) == 6


CHANGES = {
    "seed": {"seed": 8},
    "cfg": {"cfg": 3.0},
    "sampler": {"sampler_name": "heun"},
    "scheduler": {"scheduler": "karras"},
    "ratio": {"injection_ratio": 0.5},
    "strength": {"control_strength": 0.5},
    "token strength": {"token_strength": 0.5},
    "control_end": {"control_end": 0.5},
    "guidance_end": {"guidance_end": 0.5},
    "guide_patches": {"guide_patches": True},
    "latent": {"latent_image": {"samples": torch.full((1, 4, 24, 16), 0.1)}, "denoise": 0.9},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_name_with_another_change_samples_again(comfy, tiny_sdxl, calls, change):
    case = random_case(people=2, steps=2)
    inputs = node_inputs(comfy, case)
    run_node(comfy, tiny_sdxl, case, **rename(inputs, "Anna", "Berta"))
    calls.clear()
    run_node(comfy, tiny_sdxl, case, **{**rename(inputs, "Anna", "Carla"), **CHANGES[change]})
    assert calls


def add_patch(model):
    patched = model.clone()
    key = "diffusion_model.output_blocks.0.1.transformer_blocks.0.attn2.to_v.weight"
    patched.add_patches({key: (torch.ones_like(model.model.state_dict()[key]),)}, 0.01)
    return patched


def replace_attention(model):
    patched = model.clone()
    patched.set_model_attn2_patch(lambda n, context, value, options: (n, context, value * 1.01))
    return patched


def gate(comfy, model, inputs, outside=0.1):
    return comfy.nodes.region_gate.IDPatchRegionGate.execute(model, inputs["id_hint"], outside)[0]


def test_a_new_name_samples_nothing_again_through_the_region_gate(comfy, tiny_sdxl, calls):
    case = random_case(people=2, steps=2)
    latents = []
    for name in ("Berta", "Carla"):
        inputs = rename(node_inputs(comfy, case), "Anna", name)
        inputs["model"] = gate(comfy, tiny_sdxl.model, inputs)
        latents.append(run_node(comfy, tiny_sdxl, case, **inputs).args[0]["samples"])
    assert len(calls) == 2
    assert torch.equal(*latents)
    inputs = rename(node_inputs(comfy, case), "Anna", "Dora")
    inputs["model"] = gate(comfy, tiny_sdxl.model, inputs, 0.3)
    run_node(comfy, tiny_sdxl, case, **inputs)
    assert len(calls) == 4


@pytest.mark.parametrize(
    "change", ["hint", "text", "pooled", "tokens", "model", "attention", "gate", "control_net"]
)
def test_a_name_with_other_content_samples_again(comfy, tiny_sdxl, calls, change):
    case = random_case(people=2, steps=2)
    inputs = rename(node_inputs(comfy, case), "Anna", "Berta")
    text, options = inputs["positive"][0]
    hint, patches = inputs["id_hint"], inputs["id_patches"]
    changes = {
        "hint": {"id_hint": hint._replace(image=hint.image + 0.01)},
        "text": {"positive": [[text + 0.01, options]]},
        "pooled": {"positive": [[text, {"pooled_output": torch.ones(1, 1280)}]]},
        "tokens": {"id_patches": patches._replace(tokens=-patches.tokens)},
        "model": {"model": add_patch(tiny_sdxl.model)},
        "attention": {"model": replace_attention(tiny_sdxl.model)},
        "gate": {"model": gate(comfy, tiny_sdxl.model, inputs, 0.2)},
        "control_net": {"control_net": tiny_sdxl.control_net.copy()},
    }
    run_node(comfy, tiny_sdxl, case, **inputs)
    calls.clear()
    changed = rename({**inputs, **changes[change]}, "Anna", "Carla")
    run_node(comfy, tiny_sdxl, case, **changed)
    assert calls


def test_the_cache_keeps_no_model(comfy):
    class Model:
        pass

    cache, model = comfy.nodes.latent_cache, Model()
    alive = weakref.ref(model)
    cache.recall_latent((model, {"a": [model]}), ["Anna"], lambda: torch.zeros(1))
    del model
    gc.collect()
    assert alive() is None


def test_unknown_objects_equal_nothing_but_themselves(comfy):
    describe = comfy.nodes.latent_cache.describe_content

    class Value:
        pass

    one, other = Value(), Value()
    assert describe({"a": [one, 1.0]}) == describe({"a": [one, 1.0]})
    assert describe({"a": [one, 1.0]}) != describe({"a": [other, 1.0]})
    assert describe(1) != describe(1.0)
    assert describe(torch.zeros(2)) != describe(torch.zeros(2, dtype=torch.bfloat16))
    assert describe(torch.zeros(2)) != describe(torch.zeros(2, 1))
    assert describe({1, 2}) != describe({1, 2, 3})
