"""Models load and sample alike with dynamic VRAM, and a run leaves nothing behind in them."""

from typing import Any

import pytest
import torch
from diffusers_reference import random_case
from dynamic_vram import dynamic_vram, is_on
from projection_states import EMBEDDING_DIM, small_mlp, small_resampler
from sampling import composable_conditioning, run_composable, run_sampler
from torch import Tensor

from idpatch_core.checkpoint import write_id_patch
from idpatch_core.location import Location

TAGGED = {
    **small_mlp(4, 16),
    **{f"location.{name}": value for name, value in Location(3, 16).state_dict().items()},
}


def test_the_layers_of_this_comfyui_defer_their_weights(comfy):
    import comfy.ops as ops

    with dynamic_vram():
        assert is_on()
        layer = ops.manual_cast.Linear(2, 1)
        assert layer.weight is None and not layer.state_dict()
        layer.load_state_dict({"weight": torch.ones(1, 2), "bias": torch.ones(1)})
        assert layer(torch.ones(1, 2)).tolist() == [[3]]
    with dynamic_vram(False):
        assert not is_on() and ops.manual_cast.Linear(2, 1).weight.shape == (1, 2)


@pytest.mark.parametrize("prompt_state", [small_resampler(4, 16), small_mlp(4, 16), TAGGED])
@torch.inference_mode()
def test_an_id_patch_model_loads(comfy, tmp_path, prompt_state):
    path = tmp_path / "id-patch.safetensors"
    write_id_patch(path, small_resampler(3, 64), prompt_state)
    embedding = torch.nn.functional.normalize(torch.ones(EMBEDDING_DIM), dim=0)
    people = [comfy.idpatch_core.identity.Identity("Ann", embedding)]

    def build() -> tuple[Tensor, Tensor]:
        model = comfy.nodes.model.load_id_patch(path)
        assert (model.location is not None) == (prompt_state is TAGGED)
        made = comfy.nodes.model.IDPatchBuilder.execute(model, people).args[0]
        return made.patches, made.tokens

    with dynamic_vram(False):
        expected = build()
    with dynamic_vram():
        assert all(map(torch.equal, build(), expected))


def self_test(comfy: Any, reuse_tokens: bool = False) -> dict[str, Tensor]:
    """Encode a drawn portrait, sample it with the demo models and decode the latent."""
    demo = comfy.nodes.demo_models
    model, clip, vae, control_net, id_patch, face_model = demo.IDPatchLoadDemoModels.execute().args
    portrait = demo.IDPatchLoadDemoPortrait.execute("Ada").args[0]
    people = comfy.nodes.faces.IDPatchFaceEncoder.execute(face_model, portrait).args[0]
    patches = comfy.nodes.model.IDPatchBuilder.execute(id_patch, people).args[0]
    hint = comfy.nodes.placer.IDPatchPlacer.execute(patches, 128, 128, "").args[0]
    text, pooled = clip.encode_from_tokens(clip.tokenize("one person"), return_pooled=True)
    conditioning = [[text, {"pooled_output": pooled}]]
    latent = comfy.nodes.sampler.IDPatchSampler.execute(
        model=model,
        positive=conditioning,
        negative=conditioning,
        control_net=control_net,
        id_patches=patches,
        id_hint=hint,
        seed=1,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="reference",
        injection_ratio=0.5,
        control_strength=1.0,
        reuse_tokens=reuse_tokens,
    ).args[0]["samples"]
    face = people[0].embedding
    return {"face": face, "text": text, "latent": latent, "image": vae.decode(latent)}


@pytest.mark.parametrize("reuse_tokens", [False, True])
@torch.inference_mode()
def test_the_demo_models_make_the_same_image(comfy, reuse_tokens):
    with dynamic_vram(False):
        expected = self_test(comfy)
    with dynamic_vram():
        made = self_test(comfy, reuse_tokens)
    assert [name for name in made if not torch.equal(made[name], expected[name])] == []
    assert expected["image"].std() > 0.05


class Cancelled(Exception):
    pass


@torch.inference_mode()
def sample_cancelled(comfy: Any, tiny_sdxl: Any, case: Any) -> None:
    """Run the ID-Patch Sampler and cancel it in its second step."""
    calls = []

    def cancel(apply_model: Any, options: dict[str, Any]) -> Tensor:
        calls.append(options)
        if len(calls) == 2:
            raise Cancelled
        return apply_model(options["input"], options["timestep"], **options["c"])

    model = tiny_sdxl.model.clone()
    model.set_model_unet_function_wrapper(cancel)
    with pytest.raises(Cancelled):
        run_sampler(comfy, tiny_sdxl, case, model=model)


RUNS = {
    "sampler": run_sampler,
    "patches hidden from the negative": lambda *args: run_sampler(*args, guide_patches=True),
    "tokens reused": lambda *args: run_sampler(*args, reuse_tokens=True),
    "ended early": lambda *args: run_sampler(*args, control_end=0.5, guidance_end=0.5),
    "another schedule": lambda *args: run_sampler(*args, "dpmpp_2m", "karras"),
    "strong start noise": lambda *args: run_sampler(*args, "euler", "reference", denoise=0.5),
    "composable nodes": lambda *args: run_composable(*args, "euler", "normal"),
    "cancelled": sample_cancelled,
}


def sample_without_us(tiny_sdxl: Any, case: Any, control: bool) -> Tensor:
    """Return the latent of ComfyUI's own KSampler, also with the ControlNet by its own node."""
    import nodes as comfyui_nodes  # pyright: ignore[reportMissingImports]

    texts = [[[case.text[i : i + 1], {"pooled_output": case.pooled[i : i + 1]}]] for i in (1, 0)]
    if control:
        image = case.base.permute(0, 2, 3, 1)
        apply = comfyui_nodes.ControlNetApplyAdvanced()
        texts = apply.apply_controlnet(*texts, tiny_sdxl.control_net, image, 1.0, 0.0, 1.0)
    latent = {"samples": torch.zeros_like(case.noise)}
    sample = comfyui_nodes.common_ksampler
    return sample(tiny_sdxl.model, 5, 2, 3.0, "euler", "normal", *texts, latent)[0]["samples"]


def model_state(tiny_sdxl: Any) -> dict[str, Any]:
    """Return what a run could change in the models, copied."""
    patcher, control_net = tiny_sdxl
    patched = ("patches", "object_patches", "hook_patches", "wrappers", "callbacks")
    return {
        "weights": {k: v.clone() for k, v in patcher.model.state_dict().items()},
        "control weights": {
            k: v.clone() for k, v in control_net.control_model.state_dict().items()
        },
        "sigmas": patcher.model.model_sampling.sigmas.clone(),
        "sampling": type(patcher.model.model_sampling),
        "backups": [len(patcher.backup), len(patcher.object_patches_backup)],
        "patches": {name: repr(getattr(patcher, name)) for name in patched},
        "options": repr(patcher.model_options),
        "hint": (control_net.cond_hint_original, control_net.cond_hint, control_net.strength),
        "chain": (control_net.previous_controlnet, control_net.timestep_percent_range),
        "preprocess": control_net.preprocess_image.__qualname__,
        "hooks": [
            len(layer._forward_hooks) + len(layer._forward_pre_hooks) + ("forward" in vars(layer))
            for layer in (*patcher.model.modules(), *control_net.control_model.modules())
        ],
    }


@pytest.mark.parametrize("control", [False, True], ids=["plain", "with the ControlNet"])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@torch.inference_mode()
def test_a_run_without_our_nodes_is_the_same_after_a_run_with_them(comfy, tiny_sdxl, run, control):
    case = random_case(people=2, steps=4)
    before, state = sample_without_us(tiny_sdxl, case, control), model_state(tiny_sdxl)
    run(comfy, tiny_sdxl, case)
    after = model_state(tiny_sdxl)
    for kind in ("weights", "control weights"):
        one, other = state.pop(kind), after.pop(kind)
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert torch.equal(state.pop("sigmas"), after.pop("sigmas"))
    assert after == state
    assert torch.equal(sample_without_us(tiny_sdxl, case, control), before)


def test_the_conditioning_given_to_us_is_not_changed(comfy, tiny_sdxl):
    case = random_case()
    texts = [[[case.text[1:], {"pooled_output": case.pooled[1:]}]] for _ in range(2)]
    given = [(id(text), text.clone(), set(options)) for [[text, options]] in texts]
    composable_conditioning(comfy, tiny_sdxl, case, positive=texts[0], negative=texts[1])
    run_sampler(comfy, tiny_sdxl, case, positive=texts[0], negative=texts[1])
    for (identity, copy, names), [[text, options]] in zip(given, texts, strict=True):
        assert id(text) == identity and torch.equal(text, copy) and set(options) == names
