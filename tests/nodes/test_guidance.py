import pytest
import torch
from diffusers_reference import random_case
from sampling import run_sampler


@pytest.fixture
def rows(tiny_sdxl, monkeypatch):
    """Record the rows of each call of the UNet, and whether the ControlNet acts in it."""
    seen = []
    forward = tiny_sdxl.model.model.diffusion_model.forward

    def spy(x, timesteps, context, y=None, control=None, **kwargs):
        seen.append((x.shape[0], control is not None))
        return forward(x, timesteps, context, y, control, **kwargs)

    monkeypatch.setattr(tiny_sdxl.model.model.diffusion_model, "forward", spy)
    return seen


@pytest.mark.parametrize("scheduler", ["reference", "karras", "sgm_uniform"])
def test_control_and_guidance_end_at_the_exact_step(comfy, tiny_sdxl, rows, scheduler):
    options = {"control_end": 0.3, "guidance_end": 0.7}
    run_sampler(comfy, tiny_sdxl, random_case(steps=10), scheduler=scheduler, **options)
    assert rows == [(2, True)] * 3 + [(2, False)] * 4 + [(1, False)] * 3


def test_a_share_between_two_steps_includes_the_step_that_it_cuts(comfy, tiny_sdxl, rows):
    run_sampler(comfy, tiny_sdxl, random_case(steps=4), control_end=0.6, guidance_end=0.3)
    assert rows == [(2, True)] * 2 + [(1, True)] + [(1, False)]


def test_an_end_counts_the_whole_schedule_of_denoise(comfy, tiny_sdxl, rows):
    latent = {"samples": torch.randn(1, 4, 24, 16)}
    options = {"control_end": 0.25, "guidance_end": 0.75, "denoise": 0.5, "latent_image": latent}
    run_sampler(comfy, tiny_sdxl, random_case(steps=4), **options)
    assert rows == [(2, False)] * 2 + [(1, False)] * 2


@pytest.mark.parametrize("sampler_name", ["euler", "dpmpp_2m", "dpm_2"])
def test_an_end_of_0_equals_none_from_the_start(comfy, tiny_sdxl, sampler_name):
    case = random_case(steps=4)

    def run(**options):
        return run_sampler(comfy, tiny_sdxl, case, sampler_name, "normal", **options)

    assert torch.equal(run(control_end=0.0), run(control_strength=0.0))
    assert torch.equal(run(guidance_end=0.0), run(cfg=1.0))
    assert not torch.equal(run(guidance_end=0.5), run())
    assert not torch.equal(run(control_end=0.5), run())


def test_ended_guidance_equals_two_runs_in_sequence(comfy, tiny_sdxl, monkeypatch):
    """Euler has no memory: the run is the first steps at cfg and the others at cfg 1."""
    import comfy.sample as sample
    import comfy.samplers as samplers

    case = random_case(steps=6, ratio=1.0)
    whole = run_sampler(comfy, tiny_sdxl, case, guidance_end=0.5)
    sample_custom, cfgs = sample.sample_custom, []

    def sample_in_two_parts(model, noise, cfg, sampler, sigmas, *args, **kwargs):
        cfgs.append(cfg)
        first = sample_custom(model, noise, cfg, sampler, sigmas[:4], *args, **kwargs)
        none, euler = torch.zeros_like(noise), samplers.sampler_object("euler")
        both = args[:2]
        return sample_custom(model, none, 1.0, euler, sigmas[3:], *both, first, **kwargs)

    monkeypatch.setattr(sample, "sample_custom", sample_in_two_parts)
    parts = run_sampler(comfy, tiny_sdxl, case)
    assert cfgs == [case.cfg]
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-5)


def test_the_models_cfg_and_wrappers_stay_as_they_were(comfy, tiny_sdxl):
    case = random_case()
    before = run_sampler(comfy, tiny_sdxl, case)
    run_sampler(comfy, tiny_sdxl, case, guidance_end=0.5, control_end=0.5)
    assert torch.equal(run_sampler(comfy, tiny_sdxl, case), before)
    assert not tiny_sdxl.model.wrappers


@pytest.mark.parametrize(
    ("steps", "ran", "guided"), [(50, 38, 16), (20, 15, 6), (16, 15, 6), (8, 8, 4)]
)
def test_the_fast_preset_runs_fewer_steps_and_less_guidance(
    comfy, tiny_sdxl, rows, steps, ran, guided
):
    run_sampler(comfy, tiny_sdxl, random_case(steps=steps), scheduler="normal", preset="fast")
    assert [count for count, _ in rows] == [2] * guided + [1] * (ran - guided)


@pytest.mark.parametrize(
    ("steps", "ratio", "first"), [(4, 1.0, 0), (4, 0.8, 1), (8, 0.8, 2), (8, 0.5, 4), (4, 0.0, 4)]
)
def test_cfg_1_runs_one_branch_with_the_tokens_from_the_exact_step(
    comfy, tiny_sdxl, monkeypatch, steps, ratio, first
):
    """As few-step LoRAs need it: positive text alone, and from the boundary its people."""
    case, calls = random_case(steps=steps, ratio=ratio), {"unet": [], "control_net": []}
    networks = (tiny_sdxl.model.model.diffusion_model, tiny_sdxl.control_net.control_model)
    for name, network in zip(calls, networks, strict=True):

        def spy(*args, name=name, forward=network.forward, **kwargs):
            context = kwargs["context"] if "context" in kwargs else args[2]
            calls[name].append((len(context), context.shape[1]))
            return forward(*args, **kwargs)

        monkeypatch.setattr(network, "forward", spy)
    run_sampler(comfy, tiny_sdxl, case, "euler", "sgm_uniform", cfg=1.0)
    text, tokens = case.text.shape[1], case.tokens.shape[0] * case.tokens.shape[1]
    expected = [(1, text)] * first + [(1, text + tokens)] * (steps - first)
    assert calls == {"unet": expected, "control_net": expected}
