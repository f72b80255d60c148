"""What ComfyUI's own nodes do to our conditioning, model and latent, before and between our nodes.

Each row of the tables is one of them. They are run as they are, on the demo models.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from core_nodes import (
    CFG,
    HEIGHT,
    STEPS,
    STYLE,
    TEXT,
    WIDTH,
    Group,
    Texts,
    call,
    load_core_nodes,
    make_group,
    seeded,
    write_lora,
)
from dynamic_vram import dynamic_vram
from torch import Tensor

Change = Callable[[Group, Texts], Texts]


@pytest.fixture(scope="module")
def group(comfy) -> Iterator[Group]:
    with torch.inference_mode():
        load_core_nodes()
        yield make_group(comfy)


@pytest.fixture(scope="module")
def plain(group: Group) -> Tensor:
    """The latent with nothing between our nodes."""
    return group.composable(group.texts())


@pytest.fixture(scope="module")
def lora(group: Group) -> str:
    return write_lora(group)


def half_mask() -> Tensor:
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[..., : WIDTH // 2] = 1
    return mask


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def on_positive(change: Callable[[Group, Any], Any]) -> Change:
    return lambda group, texts: (change(group, texts[0]), texts[1])


def on_both(change: Callable[[Group, Any], Any]) -> Change:
    return lambda group, texts: (change(group, texts[0]), change(group, texts[1]))


def set_range(start: float, end: float) -> Change:
    return on_both(lambda _, text: call("ConditioningSetTimestepRange", text, start, end))


def set_mask(_: Group, text: Any) -> Any:
    return call("ConditioningSetMask", text, half_mask(), "default", 1.0)


def set_properties(_: Group, text: Any) -> Any:
    hooks = call("CreateHookLora", "tiny.safetensors", 1.0, 1.0)
    timesteps = call("ConditioningTimestepsRange", 0.0, 0.6)[0]
    given = {"mask": half_mask(), "hooks": hooks, "timesteps": timesteps}
    return call("ConditioningSetProperties", text, 0.7, "default", **given)


def set_default(group: Group, text: Any) -> Any:
    others = {"cond": set_mask(group, text), "cond_DEFAULT": set_model_hooks(group, text)}
    return call("ConditioningSetDefaultCombine", **others)


def set_model_hooks(_: Group, text: Any) -> Any:
    hooks = call("CreateHookLora", "tiny.safetensors", 1.0, 0.0)
    keyframes = call("CreateHookKeyframe", 0.0, 0.0)
    keyframes = call("CreateHookKeyframe", 1.0, 0.6, keyframes)
    hooks = call("SetHookKeyframes", hooks, keyframes)
    return call("ConditioningSetProperties", text, 1.0, "default", hooks=hooks)


def another_control_net(group: Group, texts: Texts) -> Texts:
    image = torch.rand(1, HEIGHT, WIDTH, 3, generator=seeded(2))
    return call("ControlNetApplyAdvanced", *texts, group.control_net, image, 0.5, 0.0, 0.7)


def old_control_net(group: Group, text: Any) -> Any:
    image = torch.rand(1, HEIGHT, WIDTH, 3, generator=seeded(2))
    return call("ControlNetApply", text, group.control_net, image, 0.5)


def inpaint(group: Group, texts: Texts) -> Texts:
    """Conditioning for inpainting models, which others ignore."""
    out = []
    for text in texts:
        latent = {"concat_latent_image": group.start()["samples"], "concat_mask": half_mask()}
        import node_helpers

        out.append(node_helpers.conditioning_set_values(text, latent))
    return out[0], out[1]


def place_text(group: Group, text: Any) -> Any:
    """GLIGEN, with a network of random weights for the demo model."""
    return call("GLIGENTextBoxApply", text, group.clip, gligen(group), "a hat", 32, 32, 16, 16)


def gligen(group: Group) -> Any:
    import comfy.gligen
    import comfy.model_patcher

    torch.manual_seed(0)
    width = group.clip.encode_from_tokens(group.clip.tokenize(""), "unprojected")[1].shape[-1]
    unet = group.model.model.diffusion_model
    fusers = []
    for blocks in (unet.input_blocks, [unet.middle_block], unet.output_blocks):
        for block in blocks:
            for module in block:
                for layer in getattr(module, "transformer_blocks", ()):
                    side = layer.attn1.to_q.in_features
                    fusers.append((side, width, side // 32, 32))
    with dynamic_vram(on=False):  # the random weights are set, not loaded
        fusers = [comfy.gligen.GatedSelfAttentionDense(*sizes) for sizes in fusers]
        network = comfy.gligen.Gligen(fusers, comfy.gligen.PositionNet(width, width), width)
    for name, weight in network.named_parameters():
        values = torch.randn(weight.shape) / max(weight.shape[-1:] or (1,)) ** 0.5
        weight.data = torch.ones_like(weight) if "alpha" in name else values
    device = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(network, device, device)


# Before the injector, between our nodes and after them: the same latent bit for bit, another one
# than without.
COMMUTING: dict[str, Change] = {
    "ConditioningSetMask": on_positive(set_mask),
    "ConditioningSetTimestepRange, early part": set_range(0.0, 0.4),
    "ConditioningSetTimestepRange, late part": set_range(0.6, 1.0),
    "ConditioningSetTimestepRange across the boundary": set_range(0.25, 0.9),
    "ConditioningSetProperties": on_positive(set_properties),
    "ConditioningSetDefaultCombine": on_positive(set_default),
    "CreateHookLora with keyframes": on_positive(set_model_hooks),
    "ControlNetApplyAdvanced": another_control_net,
    "ControlNetApply": on_positive(old_control_net),
    "GLIGENTextBoxApply": on_positive(place_text),
}
# The same, and also as without: they change nothing here.
WITHOUT_EFFECT: dict[str, Change] = {
    "ConditioningSetTimestepRange, all": set_range(0.0, 1.0),
    "ConditioningSetAreaStrength": on_positive(
        lambda _, text: call("ConditioningSetAreaStrength", text, 0.5)
    ),
    "ConditioningSetArea, all": on_positive(
        lambda _, text: call("ConditioningSetArea", text, WIDTH, HEIGHT, 0, 0, 1.0)
    ),
    "concat_latent_image of InpaintModelConditioning": inpaint,
}


@pytest.mark.parametrize("name", [*COMMUTING, *WITHOUT_EFFECT])
def test_nodes_that_may_stand_anywhere(group: Group, plain: Tensor, lora: str, name: str):
    change = (COMMUTING | WITHOUT_EFFECT)[name]
    before = group.composable(change(group, group.texts()))
    between = group.ksampler(group.apply(change(group, group.inject(group.texts()))))
    after = group.ksampler(change(group, group.apply(group.inject(group.texts()))))
    assert torch.equal(between, before) and torch.equal(after, before)
    assert torch.equal(group.sampler(change(group, group.texts())), before)
    if name in COMMUTING:
        assert difference(before, plain) > 1e-3
    else:
        assert difference(before, plain) < 1e-6


def test_range_on_the_positive_text_alone_stays_within_it(group: Group, plain: Tensor):
    """Two passes with the texts that each half of the schedule sees."""
    texts = group.inject(group.texts())
    late = call("ConditioningSetTimestepRange", texts[0], 0.6, 1.0)
    early = call("ConditioningSetTimestepRange", texts[0], 0.0, 0.6)
    both = group.apply((call("ConditioningCombine", early, late), texts[1]))
    assert torch.equal(group.ksampler(both), plain)


def test_combine(group: Group):
    style = group.encode(STYLE), group.encode("blurry")
    together = [
        call("ConditioningCombine", one, other)
        for one, other in zip(group.texts(), style, strict=True)
    ]
    injected = [
        call("ConditioningCombine", one, other)
        for one, other in zip(group.inject(group.texts()), group.inject(style), strict=True)
    ]
    before = group.composable((together[0], together[1]))
    assert torch.equal(group.ksampler(group.apply((injected[0], injected[1]))), before)
    assert torch.equal(group.sampler((together[0], together[1])), before)


def test_concat_to_the_injected_text_is_as_to_the_text(group: Group, plain: Tensor):
    """But for rounding: attention sums the tokens in another order."""
    positive, negative = group.texts()
    before = group.composable((call("ConditioningConcat", positive, group.encode(STYLE)), negative))
    texts = group.inject((positive, negative))
    joined = call("ConditioningConcat", texts[0], group.encode(STYLE))
    after = group.ksampler(group.apply((joined, texts[1])))
    assert difference(after, before) < 1e-4 < difference(before, plain)


def test_concat_from_the_injected_text_keeps_the_tokens(group: Group):
    """ComfyUI reads the first entry of the second input only, and keeps no range of it."""
    positive, negative = group.inject(group.texts())
    style = group.encode(STYLE)
    joined = call("ConditioningConcat", style, positive)
    people = group.id_patches.tokens.flatten(0, 1)[None]
    expected = [[torch.cat([style[0][0], group.texts()[0][0][0], people], 1), style[0][1]]]
    out, wanted = (group.ksampler(group.apply((text, negative))) for text in (joined, expected))
    assert torch.equal(out, wanted)
    without = call("ConditioningConcat", style, group.texts()[0])
    assert difference(out, group.ksampler(group.apply((without, negative)))) > 1e-2


def test_average_to_the_injected_text_weakens_the_tokens(group: Group):
    positive, negative = group.inject(group.texts())
    style = group.encode(STYLE)
    averaged = call("ConditioningAverage", positive, style, 0.75)
    text = call("ConditioningAverage", group.texts()[0], style, 0.75)
    weaker = 0.75 * group.id_patches.tokens.flatten(0, 1)[None]
    with_tokens, alone = [text for text, _ in averaged]
    assert torch.equal(with_tokens, torch.cat([text[0][0], weaker], 1))
    assert torch.equal(alone, text[0][0])
    assert torch.isfinite(group.ksampler(group.apply((averaged, negative)))).all()


def test_average_from_the_injected_text_drops_the_tokens(group: Group):
    """ComfyUI cuts the second input to the length of the first: join texts before the injector."""
    positive, negative = group.inject(group.texts())
    style = group.encode(STYLE)
    averaged = call("ConditioningAverage", style, positive, 0.25)
    expected = call("ConditioningAverage", style, group.texts()[0], 0.25)
    assert torch.equal(averaged[0][0], expected[0][0])
    out, wanted = (group.ksampler(group.apply((text, negative))) for text in (averaged, expected))
    assert torch.equal(out, wanted)


def test_zero_out_after_the_injector_removes_the_tokens_too(group: Group, plain: Tensor):
    positive, negative = group.texts()
    zeroed = group.composable((positive, call("ConditioningZeroOut", negative)))
    assert torch.equal(group.sampler((positive, call("ConditioningZeroOut", negative))), zeroed)
    texts = group.inject((positive, negative))
    after = group.ksampler(group.apply((texts[0], call("ConditioningZeroOut", texts[1]))))
    none = [[torch.zeros_like(text), options] for text, options in texts[1]]
    none = [[text, {**o, "pooled_output": 0 * o["pooled_output"]}] for text, o in none]
    assert torch.equal(after, group.ksampler(group.apply((texts[0], none))))
    assert difference(after, zeroed) > 1e-4 and difference(zeroed, plain) > 1e-4


def test_a_separate_text_for_the_controlnet_gets_the_tokens_before_the_injector(group: Group):
    def add(texts: Texts) -> Texts:
        return tuple(call("CLIPTextEncodeControlnet", group.clip, text, STYLE) for text in texts)  # pyright: ignore[reportReturnType]

    before = group.composable(add(group.texts()))
    assert torch.equal(group.sampler(add(group.texts())), before)
    after = group.ksampler(group.apply(add(group.inject(group.texts()))))
    assert difference(after, before) > 1e-4


def bounds(_: Group, text: Any) -> Any:
    return call("ConditioningSetMask", text, half_mask(), "mask bounds", 1.0)


REFUSED: dict[str, Change] = {
    "ConditioningSetArea": on_positive(
        lambda _, text: call("ConditioningSetArea", text, 64, HEIGHT, 0, 0, 1.0)
    ),
    "ConditioningSetAreaPercentage": on_positive(
        lambda _, text: call("ConditioningSetAreaPercentage", text, 0.5, 1.0, 0, 0, 1.0)
    ),
    "ConditioningSetMask, mask bounds": on_positive(bounds),
}


@pytest.mark.parametrize("name", REFUSED)
def test_areas_are_refused(group: Group, name: str):
    message = r"id_hint: it is 128x64, but .* use Conditioning \(Set Mask\) with set_cond_area 'def"
    for run in (group.sampler, group.composable):
        with pytest.raises(ValueError, match=message):
            run(REFUSED[name](group, group.texts()))
    with pytest.raises(ValueError, match=message):
        group.ksampler(REFUSED[name](group, group.apply(group.inject(group.texts()))))


def encode_sdxl(group: Group, text: str) -> Any:
    return call("CLIPTextEncodeSDXL", group.clip, 96, 64, 8, 0, 96, 64, text, STYLE)


def encode_with_scheduled_hooks(group: Group, text: str) -> Any:
    hooks = call("CreateHookLora", "tiny.safetensors", 1.0, 1.0)
    keyframes = call("CreateHookKeyframe", 0.0, 0.0)
    keyframes = call("CreateHookKeyframe", 1.0, 0.3, keyframes)
    hooks = call("SetHookKeyframes", hooks, keyframes)
    clip = call("SetClipHooks", group.clip, True, True, hooks)
    return call("CLIPTextEncode", clip, text)


def encode_with_last_layer(group: Group, text: str) -> Any:
    return call("CLIPTextEncode", call("CLIPSetLastLayer", group.clip, -1), text)


ENCODERS = {
    "CLIPTextEncodeSDXL": encode_sdxl,
    "SetClipHooks, scheduled": encode_with_scheduled_hooks,
    "CLIPSetLastLayer": encode_with_last_layer,
}


@pytest.mark.parametrize("name", ENCODERS)
def test_texts_of_other_encoders(group: Group, plain: Tensor, lora: str, name: str):
    texts = ENCODERS[name](group, TEXT), ENCODERS[name](group, "")
    out = group.composable(texts)
    assert torch.equal(group.sampler(texts), out)
    assert difference(out, plain) > 1e-4


def test_scheduled_hooks_keep_their_parts(group: Group, lora: str):
    """SetClipHooks makes one text for each part of the schedule, in `clip_…` shares."""
    positive, _ = group.inject((encode_with_scheduled_hooks(group, TEXT), group.encode("")))
    parts = [
        (text.shape[1], o["clip_start_percent"], o["clip_end_percent"]) for text, o in positive
    ]
    tokens = 77 + group.id_patches.tokens.shape[:2].numel()
    half = pytest.approx(0.5, abs=1e-4)
    assert parts == [(77, 0.0, 0.3), (tokens, half, 1.0), (77, 0.3, half)]


MODELS: dict[str, Callable[[Group], Any]] = {
    "LoraLoader": lambda group: call(
        "LoraLoader", group.model, group.clip, "tiny.safetensors", 1.0, 0.0
    )[0],
    "LoraLoaderModelOnly": lambda group: call(
        "LoraLoaderModelOnly", group.model, "tiny.safetensors", 1.0
    ),
    "FreeU": lambda group: call("FreeU", group.model, 1.3, 1.4, 0.9, 0.2),
    "FreeU_V2": lambda group: call("FreeU_V2", group.model, 1.3, 1.4, 0.9, 0.2),
    "RescaleCFG": lambda group: call("RescaleCFG", group.model, 0.7),
    "SelfAttentionGuidance": lambda group: call("SelfAttentionGuidance", group.model, 0.5, 2.0),
    "PerturbedAttentionGuidance": lambda group: call(
        "PerturbedAttentionGuidance", group.model, 3.0
    ),
    "Mahiro": lambda group: call("Mahiro", group.model),
    "TCFG": lambda group: call("TCFG", group.model),
    "PatchModelAddDownscale": lambda group: call(
        "PatchModelAddDownscale", group.model, 2, 2.0, 0.0, 0.4, True, "bicubic", "bicubic"
    ),
    "ModelSamplingDiscrete, zsnr": lambda group: call(
        "ModelSamplingDiscrete", group.model, "v_prediction", True
    ),
    "ModelSamplingDiscrete, lcm": lambda group: call(
        "ModelSamplingDiscrete", group.model, "lcm", False
    ),
    "PerpNeg": lambda group: call("PerpNeg", group.model, group.encode(""), 1.0),
}


@pytest.mark.parametrize("name", MODELS)
def test_changed_models(group: Group, plain: Tensor, lora: str, name: str):
    model = MODELS[name](group)
    out = group.composable(group.texts(), model=model)
    assert torch.equal(group.sampler(group.texts(), model=model), out)
    assert difference(out, plain) > 1e-4
    assert torch.equal(group.composable(group.texts()), plain)


def masked(group: Group) -> dict[str, Any]:
    return call("SetLatentNoiseMask", group.start(), half_mask())


LATENTS: dict[str, Callable[[Group], tuple[dict[str, Any], float]]] = {
    "EmptyLatentImage, a batch": lambda group: (group.empty(2), 1.0),
    "RepeatLatentBatch": lambda group: (call("RepeatLatentBatch", group.start(), 2), 0.6),
    "LatentFromBatch": lambda group: (call("LatentFromBatch", group.empty(3), 1, 2), 1.0),
    "LatentBatchSeedBehavior": lambda group: (
        call("LatentBatchSeedBehavior", call("RepeatLatentBatch", group.start(), 2), "fixed"),
        0.6,
    ),
    "LatentUpscale": lambda group: (
        call("LatentUpscale", group.start(), "bilinear", WIDTH, HEIGHT, "disabled"),
        0.5,
    ),
    "SetLatentNoiseMask": lambda group: (masked(group), 1.0),
    "SetLatentNoiseMask, denoise": lambda group: (masked(group), 0.6),
}


@pytest.mark.parametrize("name", LATENTS)
def test_latents(group: Group, plain: Tensor, name: str):
    latent, denoise = LATENTS[name](group)
    out = group.composable(group.texts(), latent=latent, denoise=denoise)
    assert torch.equal(group.sampler(group.texts(), latent=latent, denoise=denoise), out)
    assert difference(out[-1:], plain) > 1e-4


def test_differential_diffusion_with_a_soft_mask(group: Group):
    mask = torch.linspace(0, 1, WIDTH).expand(1, HEIGHT, WIDTH)
    latent = call("SetLatentNoiseMask", group.start(), mask)
    model = call("DifferentialDiffusion", group.model)
    given = {"latent": latent, "model": model}
    out = group.composable(group.texts(), **given)
    assert torch.equal(group.sampler(group.texts(), **given), out)
    assert not torch.equal(group.composable(group.texts(), latent=latent), out)


def schedule(group: Group) -> Any:
    return call("BasicScheduler", group.model, "normal", STEPS, 1.0)


def sample_advanced(group: Group, guider: Any, sigmas: Any = None, noise: Any = None) -> Any:
    """Return the latent of Sampler Custom (Advanced)."""
    sampler = call("KSamplerSelect", "euler")
    noise = noise or call("RandomNoise", 0)
    sigmas = schedule(group) if sigmas is None else sigmas
    return call("SamplerCustomAdvanced", noise, guider, sampler, sigmas, group.empty())[0][
        "samples"
    ]


def test_cfg_guider_and_sampler_custom(group: Group, plain: Tensor):
    texts = group.apply(group.inject(group.texts()))
    guider = call("CFGGuider", group.model, *texts, CFG)
    assert torch.equal(sample_advanced(group, guider), plain)
    sampler = call("KSamplerSelect", "euler")
    custom = call(
        "SamplerCustom", group.model, True, 0, CFG, *texts, sampler, schedule(group), group.empty()
    )
    assert torch.equal(custom[0]["samples"], plain)


def test_basic_guider(group: Group):
    texts = group.apply(group.inject(group.texts()))
    out = sample_advanced(group, call("BasicGuider", group.model, texts[0]))
    assert torch.equal(out, group.ksampler(texts, cfg=1.0))
    assert torch.equal(out, group.sampler(group.texts(), cfg=1.0))


def test_dual_cfg_guider(group: Group, plain: Tensor):
    """With the same text twice it is plain guidance."""
    positive, negative = group.apply(group.inject(group.texts()))
    dual = call("DualCFGGuider", group.model, positive, positive, negative, 1.0, CFG, "regular")
    assert difference(sample_advanced(group, dual), plain) < 1e-5
    style = group.apply(group.inject((group.encode(STYLE), group.texts()[1])))[0]
    other = call("DualCFGGuider", group.model, positive, style, negative, 1.0, CFG, "regular")
    assert difference(sample_advanced(group, other), plain) > 1e-3


def test_perp_neg_guider(group: Group, plain: Tensor):
    """With the empty text as the negative one it is plain guidance."""
    positive, negative = group.apply(group.inject(group.texts()))
    same = call("PerpNegGuider", group.model, positive, negative, negative, CFG, 1.0)
    assert difference(sample_advanced(group, same), plain) < 1e-5
    style = group.apply(group.inject((group.encode(STYLE), group.texts()[1])))[0]
    other = call("PerpNegGuider", group.model, positive, style, negative, CFG, 1.0)
    assert difference(sample_advanced(group, other), plain) > 1e-3


@pytest.mark.parametrize("split", [1, 2, 3])
def test_ksampler_advanced_and_split_sigmas_run_the_schedule_in_two(
    group: Group, plain: Tensor, split: int
):
    """But for rounding: between the two the latent is scaled to VAE space and back."""
    texts = group.apply(group.inject(group.texts()))

    def run(add_noise: str, latent: Any, start: int, end: int, leftover: str) -> Any:
        settings = (add_noise, 0, STEPS, CFG, "euler", "normal", *texts, latent)
        return call("KSamplerAdvanced", group.model, *settings, start, end, leftover)

    first = run("enable", group.empty(), 0, split, "enable")
    second = run("disable", first, split, STEPS, "disable")
    assert difference(second["samples"], plain) < 1e-5
    high, low = call("SplitSigmas", schedule(group), split)
    guider = call("CFGGuider", group.model, *texts, CFG)
    half = sample_advanced(group, guider, high)
    sampler, none = call("KSamplerSelect", "euler"), call("DisableNoise")
    out = call("SamplerCustomAdvanced", none, guider, sampler, low, {"samples": half})[0]
    assert difference(out["samples"], plain) < 1e-5


def test_a_later_start_is_as_denoise(group: Group):
    """KSampler (Advanced) from step 2 of 4 and the ID-Patch Sampler's last 2 steps of 4."""
    texts = group.apply(group.inject(group.texts()))
    settings = ("enable", 0, STEPS, CFG, "euler", "normal", *texts, group.start())
    out = call("KSamplerAdvanced", group.model, *settings, 2, STEPS, "disable")["samples"]
    ours = group.sampler(group.texts(), latent=group.start(), steps=2, denoise=0.5)
    assert torch.equal(ours, out)


def test_unclip_conditioning(comfy, tiny_sdxl):
    """Of SDXL's own width, which the demo models do not have."""
    from comfy.clip_vision import Output
    from diffusers_reference import random_case
    from sampling import composable_conditioning, node_inputs, run_sampler

    import nodes

    case = random_case(height=64, width=64, steps=2)
    image = Output()
    image.image_embeds = torch.randn(1, 1280, generator=seeded())
    add = nodes.unCLIPConditioning().apply_adm  # pyright: ignore[reportAttributeAccessIssue]

    def run(positive: Any, negative: Any) -> Tensor:
        latent = {"samples": torch.zeros_like(case.noise)}
        settings = (0, 2, case.cfg, "euler", "normal", positive, negative, latent)
        return nodes.common_ksampler(tiny_sdxl.model, *settings)[0]["samples"]  # pyright: ignore[reportAttributeAccessIssue]

    with torch.inference_mode():
        (text,) = add(node_inputs(comfy, case)["positive"], image, 1.0, 0.1)
        before = run(*composable_conditioning(comfy, tiny_sdxl, case, positive=text))
        positive, negative = composable_conditioning(comfy, tiny_sdxl, case)
        assert torch.equal(run(*add(positive, image, 1.0, 0.1), negative), before)
        assert torch.equal(
            run_sampler(comfy, tiny_sdxl, case, "euler", "normal", positive=text), before
        )
        assert not torch.equal(before, run(positive, negative))


def change_by_ours(group: Group) -> tuple[Any, Any]:
    """Return the model as Region Gate leaves it, and as Describe People does."""
    figure = group.pack.idpatch_core.layout.Figure
    figures = tuple(figure(point, 9.0) for point in group.id_hint.points)
    hint, nodes = group.id_hint._replace(figures=figures), group.pack.nodes
    given = {"phrases": "A: red shirt", "caption": "one person, wearing {phrase}"}
    described = nodes.phrases.IDPatchPhrases.execute(group.model, group.clip, hint, **given)
    return nodes.region_gate.IDPatchRegionGate.execute(group.model, hint).args[0], described.args[0]


def test_a_run_without_our_nodes_is_the_same_after_them(group: Group, lora: str):
    image = torch.rand(1, HEIGHT, WIDTH, 3, generator=seeded(2))

    def stock() -> list[Tensor]:
        texts = call(
            "ControlNetApplyAdvanced", *group.texts(), group.control_net, image, 0.5, 0.0, 1.0
        )
        return [group.ksampler(group.texts()), group.ksampler(texts), group.encode(TEXT)[0][0]]

    options, weights = repr(group.model.model_options), group.model.model.state_dict()
    kept = {name: weight.clone() for name, weight in weights.items()}
    before = stock()
    group.composable(group.texts())
    group.sampler(group.texts(), scheduler="reference", latent=masked(group))
    group.sampler(COMMUTING["ConditioningSetProperties"](group, group.texts()))
    for model in change_by_ours(group):
        group.composable(group.texts(), model=model)
        group.sampler(group.texts(), model=model, reuse_tokens=True, guide_patches=True)
    with pytest.raises(ValueError, match="id_hint"):
        group.sampler(REFUSED["ConditioningSetArea"](group, group.texts()))
    assert all(map(torch.equal, before, stock()))
    assert repr(group.model.model_options) == options
    assert not group.model.object_patches and not group.model.patches
    assert all(torch.equal(weight, kept[name]) for name, weight in weights.items())
    assert group.control_net.cond_hint_original is None
