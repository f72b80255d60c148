"""The ID-Patch Sampler and the composable nodes give the same latent, bit for bit."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from core_nodes import CFG, RATIO, STEPS, Group, call, load_core_nodes, make_group
from torch import Tensor


@pytest.fixture(scope="module")
def group(comfy) -> Iterator[Group]:
    with torch.inference_mode():
        load_core_nodes()
        yield make_group(comfy)


class StartNoise:
    """A NOISE for Sampler Custom (Advanced), stronger by a factor as in the reference."""

    seed = 0

    def __init__(self, factor: float):
        self.factor = factor

    def generate_noise(self, latent: dict[str, Any]) -> Tensor:
        return call("RandomNoise", self.seed).generate_noise(latent) * self.factor


def run_sigmas(group: Group, sampler_name: str, sigmas: Tensor, whole: bool, latent: Any) -> Tensor:
    """Run the composable route on sigmas of its own, as no scheduler of ComfyUI gives them."""
    texts = group.apply(group.inject(group.texts()))
    schedule = group.pack.idpatch_core.schedule
    noise = StartNoise(schedule.start_noise_scale(float(sigmas[0])) if whole else 1.0)
    guider = call("CFGGuider", group.model, *texts, CFG)
    sampler = call("KSamplerSelect", sampler_name)
    return call("SamplerCustomAdvanced", noise, guider, sampler, sigmas, latent)[0]["samples"]


def same_steps(group: Group, sigmas: Tensor, whole: Tensor, ratio: float = RATIO) -> bool:
    """Return whether both boundaries fall between the same two steps of a run."""
    sampling = group.model.get_model_object("model_sampling")
    exact = group.pack.nodes.sigmas.find_boundary(whole, ratio, sampling)
    share = sampling.percent_to_sigma(group.pack.idpatch_core.injection.injection_percent(ratio))
    return bool(((sigmas > exact) == (sigmas > share)).all())


AGREEING = [
    *product((0.35, 0.5, 0.9, 1.0), ("normal", "karras", "reference"), ("euler",)),
    *product((0.5,), ("normal",), ("heun", "dpm_2", "euler_ancestral", "lcm")),
    *product((0.35,), ("karras",), ("heun", "dpm_2", "euler_ancestral", "dpmpp_2m")),
]


@pytest.mark.parametrize(("denoise", "scheduler", "sampler_name"), AGREEING)
def test_routes_agree_at_every_denoise(
    group: Group, denoise: float, scheduler: str, sampler_name: str
):
    latent = group.empty() if denoise == 1 else group.start()
    given = {"denoise": denoise, "sampler_name": sampler_name, "scheduler": scheduler}
    ours = group.sampler(group.texts(), latent=latent, **given)
    compute_sigmas = group.pack.nodes.sigmas.compute_sigmas
    whole = compute_sigmas(group.model, sampler_name, scheduler, STEPS, denoise)
    sigmas = whole[-(STEPS + 1) :]
    assert same_steps(group, sigmas, whole)
    if scheduler == "reference":
        theirs = run_sigmas(group, sampler_name, sigmas, denoise == 1, latent)
    else:
        theirs = group.composable(group.texts(), latent=latent, **given)
    assert torch.equal(ours, theirs)
    without = group.sampler(group.texts(), latent=latent, **given, injection_ratio=0.0)
    assert not torch.equal(ours, without)


def test_routes_differ_where_a_step_lies_between_the_boundaries(group: Group):
    """Karras' steps are denser at its end: the last fifth of them begins later."""
    settings, ratio = {"steps": 8, "scheduler": "karras"}, 0.2
    whole = group.pack.nodes.sigmas.compute_sigmas(group.model, "euler", "karras", 8, 1.0)
    assert not same_steps(group, whole, whole, ratio)
    ours = group.sampler(group.texts(), injection_ratio=ratio, **settings)
    assert not torch.equal(ours, group.composable(group.texts(), ratio, **settings))


@pytest.mark.parametrize("scheduler", ["normal", "karras", "simple", "beta", "ddim_uniform"])
@pytest.mark.parametrize("sampler_name", ["euler", "dpm_2"])
def test_the_end_of_the_whole_schedule_is_that_of_ksampler(
    group: Group, scheduler: str, sampler_name: str
):
    import comfy.samplers

    compute_sigmas = group.pack.nodes.sigmas.compute_sigmas
    for denoise in (0.07, 0.35, 0.5, 0.9, 1.0):
        whole = compute_sigmas(group.model, sampler_name, scheduler, 20, denoise)
        theirs = comfy.samplers.KSampler(
            group.model, 20, group.model.load_device, sampler_name, scheduler, denoise
        )
        assert torch.equal(whole[-21:] if denoise < 1 else whole, theirs.sigmas)
