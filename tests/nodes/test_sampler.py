import logging

import pytest
import torch
from diffusers_reference import (
    DATA,
    Case,
    final_latent,
    load_networks,
    random_case,
)
from safetensors import safe_open
from safetensors.torch import load_file
from sampling import composable_conditioning, node_inputs, run_composable, run_node, run_sampler


@pytest.fixture(scope="module")
def diffusers_networks():
    return load_networks()


@pytest.fixture
def start_noise(comfy, monkeypatch):
    """Start from a case's own noise instead of a seed's."""
    import comfy.sample as sample

    def start(case: Case) -> None:
        monkeypatch.setattr(sample, "prepare_noise", lambda *_: case.noise.clone())

    return start


def relative_error(tiny_sdxl, latent: torch.Tensor, reference: torch.Tensor) -> float:
    latent = tiny_sdxl.model.model.process_latent_in(latent)
    return float((latent - reference).norm() / reference.norm())


def released(name: str) -> tuple[Case, torch.Tensor]:
    """Read inputs and final latent of the released pipeline."""
    path = DATA / f"{name}.safetensors"
    case, settings = load_file(path), safe_open(path, "pt").metadata()
    people = len(case["face_locations"])
    return Case(
        base=case["control_image"].permute(2, 0, 1)[None] / 255,
        points=case["face_locations"],
        patches=case["patches"],
        tokens=case["id_tokens"].reshape(people, -1, 2048),
        zero_tokens=case["negative_id_tokens"].reshape(people, -1, 2048),
        text=case["text_embeds"],
        pooled=case["pooled"],
        noise=case["noise"],
        steps=int(settings["steps"]),
        ratio=float(settings["ratio"]),
        cfg=float(settings["cfg"]),
        scale=float(settings["scale"]),
    ), case["final_latent"][None]


@pytest.mark.parametrize("name", ["case0", "case1"])
def test_equals_the_released_pipeline(comfy, tiny_sdxl, start_noise, name):
    case, reference = released(name)
    start_noise(case)
    latent = run_sampler(comfy, tiny_sdxl, case)
    assert relative_error(tiny_sdxl, latent, reference) < 1e-5


@pytest.mark.parametrize("name", ["case0", "case1"])
def test_composable_route_equals_the_released_pipeline(comfy, tiny_sdxl, name):
    import comfy.sample as sample
    import comfy.samplers as samplers

    case, reference = released(name)
    positive, negative = composable_conditioning(comfy, tiny_sdxl, case)
    schedule = comfy.idpatch_core.schedule
    sampling = tiny_sdxl.model.get_model_object("model_sampling")
    sigmas = schedule.reference_sigmas(sampling.sigmas, case.steps)
    noise = case.noise * schedule.start_noise_scale(float(sigmas[0]))
    with torch.inference_mode():
        latent = sample.sample_custom(
            tiny_sdxl.model,
            noise,
            case.cfg,
            samplers.sampler_object("euler"),
            sigmas,
            positive,
            negative,
            torch.zeros_like(noise),
        )
    assert relative_error(tiny_sdxl, latent, reference) < 1e-5


VARIANTS = {
    "one person": {"people": 1},
    "three people": {"people": 3},
    "ten people": {"people": 10},
    "tokens in every step": {"ratio": 1.0},
    "tokens in no step": {"ratio": 0.0},
    "ratio whose float product is above a whole step": {"ratio": 0.7, "steps": 10},
    "odd latent": {"height": 264, "width": 200},
    "points outside": {"people": 3, "points": [[-3.0, 50.0], [60.5, 191.9], [128.0, 20.0]]},
    "overlapping points": {"people": 3, "points": [[60.5, 90.5], [70.2, 95.0], [60.5, 90.5]]},
    "strong control": {"scale": 1.7},
    "no control": {"scale": 0.0},
    "high guidance": {"cfg": 12.0},
    "no guidance": {"cfg": 1.0},
    "one step": {"steps": 1, "ratio": 1.0},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_reference_on_diffusers(
    comfy, tiny_sdxl, start_noise, diffusers_networks, variant
):
    case = random_case(**VARIANTS[variant], seed=3)
    start_noise(case)
    reference = final_latent(case, *diffusers_networks)
    assert relative_error(tiny_sdxl, run_sampler(comfy, tiny_sdxl, case), reference) < 1e-5


@pytest.mark.parametrize("sampler_name", ["euler", "dpmpp_2m", "dpm_2"])
@pytest.mark.parametrize(("scheduler", "ratio"), [("normal", 0.7), ("karras", 0.5)])
def test_both_routes_agree_bit_for_bit(comfy, tiny_sdxl, sampler_name, scheduler, ratio):
    case = random_case(steps=6, ratio=ratio, people=3)
    ours = run_sampler(comfy, tiny_sdxl, case, sampler_name, scheduler)
    assert torch.equal(ours, run_composable(comfy, tiny_sdxl, case, sampler_name, scheduler))


def test_a_step_exactly_on_the_boundary_sees_the_tokens_by_both_routes(comfy, tiny_sdxl):
    # sgm_uniform puts step 2 of 10 exactly at 0.2 of the schedule.
    case = random_case(steps=10, ratio=0.8)
    ours = run_sampler(comfy, tiny_sdxl, case, scheduler="sgm_uniform")
    assert torch.equal(ours, run_composable(comfy, tiny_sdxl, case, "euler", "sgm_uniform"))


@pytest.mark.parametrize("scheduler", ["reference", "karras", "simple", "beta", "exponential"])
def test_tokens_start_at_the_exact_step_on_every_schedule(comfy, tiny_sdxl, scheduler, monkeypatch):
    case = random_case(steps=8, ratio=0.5)
    seen = []
    forward = tiny_sdxl.model.model.diffusion_model.forward

    def spy(x, timesteps, context, *args, **kwargs):
        seen.append((x.shape[0], context.shape[1]))
        return forward(x, timesteps, context, *args, **kwargs)

    monkeypatch.setattr(tiny_sdxl.model.model.diffusion_model, "forward", spy)
    run_sampler(comfy, tiny_sdxl, case, scheduler=scheduler)
    # Both branches in one batch: one call a step, two rows.
    assert seen == [(2, 77)] * 4 + [(2, 77 + 32)] * 4


@pytest.mark.parametrize(("ratio", "without"), [(0.8, 0), (0.5, 0), (0.3, 2), (0.0, 4)])
def test_denoise_counts_the_whole_schedule(comfy, tiny_sdxl, ratio, without, monkeypatch):
    """Of the last 4 of 8 steps those see no tokens that are among the first of all 8."""
    seen = []
    forward = tiny_sdxl.model.model.diffusion_model.forward

    def spy(x, timesteps, context, *args, **kwargs):
        seen.append(context.shape[1])
        return forward(x, timesteps, context, *args, **kwargs)

    monkeypatch.setattr(tiny_sdxl.model.model.diffusion_model, "forward", spy)
    latent = {"samples": torch.randn(1, 4, 24, 16)}
    case = random_case(steps=4, ratio=ratio)
    run_sampler(comfy, tiny_sdxl, case, denoise=0.5, latent_image=latent)
    assert seen == [77] * without + [77 + 32] * (4 - without)


def test_same_seed_gives_the_same_latent_bit_for_bit(comfy, tiny_sdxl):
    case = random_case()
    first = run_sampler(comfy, tiny_sdxl, case, seed=7)
    assert torch.equal(first, run_sampler(comfy, tiny_sdxl, case, seed=7))
    assert not torch.equal(first, run_sampler(comfy, tiny_sdxl, case, seed=8))


def test_a_batch_is_sampled_with_one_hint(comfy, tiny_sdxl):
    case = random_case()
    latent = {"samples": torch.zeros(3, 4, 24, 16)}
    batch = run_sampler(comfy, tiny_sdxl, case, latent_image=latent)
    assert batch.shape == (3, 4, 24, 16)
    single = run_sampler(comfy, tiny_sdxl, case)
    assert (batch[:1] - single).norm() < 1e-4 * single.norm()


def test_denoise_runs_only_the_last_steps(comfy, tiny_sdxl):
    case = random_case(steps=4)
    start = {"samples": torch.randn(1, 4, 24, 16)}
    mostly_kept = run_sampler(comfy, tiny_sdxl, case, latent_image=start, denoise=0.05)
    replaced = run_sampler(comfy, tiny_sdxl, case, latent_image=start, denoise=1.0)
    distance = [float((x - start["samples"]).norm()) for x in (mostly_kept, replaced)]
    assert distance[0] < distance[1] / 2
    unchanged = run_sampler(comfy, tiny_sdxl, case, latent_image=start, denoise=0.0)
    assert torch.equal(unchanged, start["samples"])


def test_a_noise_mask_keeps_the_rest_of_the_latent(comfy, tiny_sdxl):
    start, mask = torch.randn(1, 4, 24, 16), torch.zeros(1, 1, 24, 16)
    mask[..., :8] = 1
    latent = {"samples": start, "noise_mask": mask}
    out = run_sampler(comfy, tiny_sdxl, random_case(), latent_image=latent)
    torch.testing.assert_close(out[..., 8:], start[..., 8:], rtol=1e-4, atol=1e-4)
    assert (out[..., :8] - start[..., :8]).abs().max() > 0.1


def test_a_mask_of_everything_is_no_mask(comfy, tiny_sdxl):
    """The start noise of the reference is stronger, with a mask as without."""
    case, start = random_case(), {"samples": torch.randn(1, 4, 24, 16)}
    masked = {**start, "noise_mask": torch.ones(1, 1, 24, 16)}
    plain, out = (
        run_sampler(comfy, tiny_sdxl, case, latent_image=latent) for latent in (start, masked)
    )
    assert torch.equal(out, plain)


def test_what_a_mask_keeps_is_noised_as_much_as_the_step(comfy, tiny_sdxl):
    """Not with the stronger start noise of the reference."""
    import comfy.sample as sample

    start, mask = torch.randn(1, 4, 24, 16), torch.zeros(1, 1, 24, 16)
    mask[..., :8] = 1
    noise = sample.prepare_noise(start, 0)
    kept = tiny_sdxl.model.model.process_latent_in(start)[..., 8:]
    seen = []

    def spy(apply_model, args):
        sigma = args["timestep"][:1]
        seen.append(float((args["input"][:1, ..., 8:] - kept - sigma * noise[..., 8:]).abs().max()))
        return apply_model(args["input"], args["timestep"], **args["c"])

    model = tiny_sdxl.model.clone()
    model.set_model_unet_function_wrapper(spy)
    latent = {"samples": start, "noise_mask": mask}
    run_sampler(comfy, tiny_sdxl, random_case(steps=3), model=model, latent_image=latent)
    assert len(seen) == 3 and max(seen) < 1e-5


def test_at_strength_0_the_controlnet_does_not_run(comfy, tiny_sdxl, monkeypatch):
    """The latent is the one that it would give, bit for bit."""
    import comfy.sample as sample
    import comfy.samplers as samplers

    case = random_case(scale=0.0, steps=4)
    given = node_inputs(comfy, case)
    hint = tiny_sdxl.control_net.copy().set_cond_hint(given["id_hint"].image, 0.0, (0, 1))
    both = comfy.nodes.conditioning.IDPatchTokenInjector.execute(
        given["positive"], given["negative"], given["id_patches"], case.ratio
    ).args
    controlled = [
        [[text, {**options, "control": hint}] for text, options in branch] for branch in both
    ]
    noise = sample.prepare_noise(case.noise, 0)
    sigmas = samplers.calculate_sigmas(
        tiny_sdxl.model.get_model_object("model_sampling"), "normal", 4
    )
    with torch.inference_mode():
        expected = sample.sample_custom(
            tiny_sdxl.model,
            noise,
            case.cfg,
            samplers.sampler_object("euler"),
            sigmas,
            *controlled,
            torch.zeros_like(noise),
        )
    calls = []
    network = type(tiny_sdxl.control_net.control_model)
    monkeypatch.setattr(network, "forward", lambda *_, **__: calls.append(1))
    assert torch.equal(run_sampler(comfy, tiny_sdxl, case, scheduler="normal"), expected)
    assert torch.equal(run_composable(comfy, tiny_sdxl, case, "euler", "normal"), expected)
    assert not calls


def test_a_lora_on_the_model_keeps_working(comfy, tiny_sdxl):
    case = random_case(steps=2)
    key = "diffusion_model.output_blocks.0.1.transformer_blocks.0.attn2.to_v.weight"
    patched = tiny_sdxl.model.clone()
    weight = tiny_sdxl.model.model.state_dict()[key]
    assert patched.add_patches({key: (torch.randn_like(weight),)}, 1.0) == [key]
    plain = run_sampler(comfy, tiny_sdxl, case)
    assert not torch.allclose(run_sampler(comfy, tiny_sdxl, case, model=patched), plain)
    assert torch.equal(run_sampler(comfy, tiny_sdxl, case), plain)


def test_another_controlnet_in_the_chain_keeps_working(comfy, tiny_sdxl):
    case = random_case(steps=2)
    inputs = node_inputs(comfy, case)
    import comfy.controlnet as controlnet

    assert isinstance(tiny_sdxl.control_net, controlnet.ControlNet)
    other = tiny_sdxl.control_net.copy().set_cond_hint(torch.rand(1, 3, 192, 128), 1.0)
    chained = {
        name: [[text, {**options, "control": other}] for text, options in inputs[name]]
        for name in ("positive", "negative")
    }
    plain, both = (
        run_sampler(comfy, tiny_sdxl, case, **conditioning) for conditioning in ({}, chained)
    )
    without_ours = run_sampler(comfy, tiny_sdxl, case, control_strength=0.0, **chained)
    assert not torch.allclose(both, plain) and not torch.allclose(both, without_ours)


def test_masked_conditioning_entries_all_get_the_tokens(comfy, tiny_sdxl):
    case = random_case(steps=2)
    (text, options), mask = node_inputs(comfy, case)["positive"][0], torch.zeros(1, 192, 128)
    mask[..., :64] = 1
    halves = [
        [text, {**options, "mask": half, "mask_strength": 1.0, "set_area_to_bounds": False}]
        for half in (mask, 1 - mask)
    ]
    out, plain = (
        run_sampler(comfy, tiny_sdxl, case, positive=halves),
        run_sampler(comfy, tiny_sdxl, case),
    )
    assert (out - plain).norm() < 1e-4 * plain.norm()


def test_hint_of_other_people_is_refused_or_warned_of(comfy, tiny_sdxl, caplog):
    case = random_case(people=2)
    inputs = node_inputs(comfy, case)
    hint = inputs["id_hint"]
    with pytest.raises(ValueError, match=r"id_hint: it places 1 person, id_patches holds 2 people"):
        fewer = hint._replace(points=hint.points[:1], names=hint.names[:1])
        run_sampler(comfy, tiny_sdxl, case, id_hint=fewer)
    with caplog.at_level(logging.WARNING):
        renamed = hint._replace(names=("Ann", "Bob"))
        run_sampler(comfy, tiny_sdxl, case, id_hint=renamed)
    assert "made for Ann, Bob, id_patches holds person 1, person 2" in caplog.text


def test_sd15_model_is_refused(comfy, tiny_sdxl):
    import comfy.model_base as model_base
    import comfy.model_patcher as model_patcher
    import comfy.supported_models as supported_models

    config = supported_models.SD15({"image_model": None, "disable_unet_model_creation": True})
    cpu = torch.device("cpu")
    model = model_patcher.ModelPatcher(model_base.BaseModel(config, device=cpu), cpu, cpu)
    with pytest.raises(ValueError, match="model: expected an SDXL model, got BaseModel"):
        run_sampler(comfy, tiny_sdxl, random_case(), model=model)


def test_too_many_reference_steps_are_refused(comfy, tiny_sdxl):
    message = "denoise: 0.04 with 50 steps needs a schedule of 1250 steps"
    with pytest.raises(ValueError, match=message):
        run_sampler(comfy, tiny_sdxl, random_case(steps=50), denoise=0.04)


def test_conditioning_with_an_id_patch_controlnet_is_refused(comfy, tiny_sdxl):
    case = random_case()
    given = node_inputs(comfy, case)
    apply = comfy.nodes.controlnet.IDPatchApplyControlNet.execute
    positive, negative = apply(
        given["positive"], given["negative"], tiny_sdxl.control_net, given["id_hint"], 0.8, 0.2, 1.0
    ).args
    message = "positive: an ID-Patch ControlNet acts on it already, from 0.2 to 1 "
    with pytest.raises(ValueError, match=message):
        run_sampler(comfy, tiny_sdxl, case, positive=positive, negative=negative)


def test_few_reference_steps_are_warned_of(comfy, tiny_sdxl, caplog):
    run_sampler(comfy, tiny_sdxl, random_case(steps=2))
    assert "steps: 2 steps of scheduler 'reference' start at timestep 501" in caplog.text
    caplog.clear()
    run_sampler(comfy, tiny_sdxl, random_case(steps=2), scheduler="normal", cfg=2.0)
    latent = {"samples": torch.randn(1, 4, 24, 16)}
    run_sampler(comfy, tiny_sdxl, random_case(steps=1), denoise=0.5, latent_image=latent)
    assert "[ID-Patch]" not in caplog.text


def test_guidance_that_does_not_fit_is_warned_of_at_the_node(comfy, tiny_sdxl):
    def warnings(**options):
        case = random_case(steps=2)
        with torch.inference_mode():
            out = run_node(comfy, tiny_sdxl, case, scheduler="sgm_uniform", **options)
        return out.ui["idpatch_warnings"]

    assert [text[:20] for text in warnings(cfg=5.5)] == ["cfg: 2 steps at cfg "]
    assert [text[:14] for text in warnings(cfg=1.0, guide_patches=True)] == ["guide_patches:"]
    assert warnings(cfg=1.0) == []


def test_texts_that_do_not_run_as_one_batch_are_warned_of_at_the_node(comfy, tiny_sdxl, caplog):
    case = random_case(steps=1, people=1, ratio=1.0)
    long = [[torch.randn(1, 154, 2048), {"pooled_output": case.pooled[1:]}]]
    with torch.inference_mode():
        out = run_node(comfy, tiny_sdxl, case, scheduler="normal", cfg=2.0, positive=long)
    (warning,) = out.ui["idpatch_warnings"]
    assert "they have 170 and 93 tokens" in warning and caplog.text.count(warning) == 1
    caplog.clear()
    run_sampler(comfy, tiny_sdxl, case, "euler", "normal", positive=long, cfg=1.0)
    options = {"cfg": 2.0, "guide_patches": True}
    run_sampler(comfy, tiny_sdxl, case, "euler", "normal", positive=long, **options)
    assert "[ID-Patch]" not in caplog.text


def take_off(inputs, person: int):
    """The same inputs with a person taken off the canvas, and those without the person."""
    hint, id_patches = inputs["id_hint"], inputs["id_patches"]

    def leave_out(values):
        return tuple(value for index, value in enumerate(values) if index != person)

    points = tuple(None if index == person else point for index, point in enumerate(hint.points))
    figures = tuple(None if index == person else f for index, f in enumerate(hint.figures))
    kept = [index for index in range(len(points)) if index != person]
    off = hint._replace(image=hint.base + 0.1, points=points, figures=figures)
    without = off._replace(
        points=leave_out(points), names=leave_out(hint.names), figures=leave_out(figures)
    )
    fewer = id_patches._replace(
        patches=id_patches.patches[kept],
        tokens=id_patches.tokens[kept],
        zero_tokens=id_patches.zero_tokens[kept],
        people=leave_out(id_patches.people),
    )
    return {"id_hint": off}, {"id_hint": without, "id_patches": fewer}


@pytest.mark.parametrize("gate", [False, True])
def test_a_person_off_the_canvas_is_not_in_the_image(comfy, tiny_sdxl, gate):
    """The latent is that of the same people without the person: no patch and no tokens."""
    case = random_case(people=3, steps=3, ratio=1.0)
    off, without = take_off(node_inputs(comfy, case), 1)
    latents = []
    for inputs in (off, without):
        model = tiny_sdxl.model
        if gate:
            model = comfy.nodes.region_gate.IDPatchRegionGate.execute(model, inputs["id_hint"])
            model = model.args[0]
        latents.append(run_sampler(comfy, tiny_sdxl, case, model=model, **inputs))
    assert torch.equal(*latents)
    all_three = run_sampler(
        comfy,
        tiny_sdxl,
        case,
        id_hint=without["id_hint"]._replace(
            points=case.points.tolist(), names=node_inputs(comfy, case)["id_hint"].names
        ),
    )
    assert not torch.equal(latents[0], all_three)


def test_with_all_people_off_the_canvas_the_text_is_alone(comfy, tiny_sdxl):
    case = random_case(people=1, steps=2, ratio=1.0)
    off, _ = take_off(node_inputs(comfy, case), 0)
    plain = run_sampler(comfy, tiny_sdxl, case, injection_ratio=0.0, **off)
    assert torch.equal(run_sampler(comfy, tiny_sdxl, case, **off), plain)
