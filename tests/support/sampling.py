"""Turns a reference case into the inputs of the sampling nodes, and runs them."""

from typing import Any

import torch
from diffusers_reference import Case
from torch import Tensor


def node_inputs(pack: Any, case: Case) -> dict[str, Any]:
    """Return positive, negative, id_patches and id_hint as the nodes pass them."""
    names = tuple(f"person {i + 1}" for i in range(len(case.points)))
    points = tuple(pack.idpatch_core.layout.Point(*p) for p in case.points.tolist())
    image = pack.idpatch_core.canvas.compose(case.base, case.patches, points)
    figures = pack.idpatch_core.canvas.make_figures(points, [], 32)
    people = tuple(pack.idpatch_core.identity.Identity(name, torch.zeros(512)) for name in names)
    patches = (case.patches, case.tokens, case.zero_tokens, people)
    return {
        "positive": [[case.text[1:], {"pooled_output": case.pooled[1:]}]],
        "negative": [[case.text[:1], {"pooled_output": case.pooled[:1]}]],
        "id_patches": pack.idpatch_core.projection.IDPatches(*patches),
        "id_hint": pack.idpatch_core.canvas.Hint(image, case.base, points, names, figures),
    }


def run_sampler(*args: Any, **overrides: Any) -> Tensor:
    """Return the latent of the ID-Patch Sampler."""
    return run_node(*args, **overrides).args[0]["samples"]


@torch.inference_mode()
def run_node(
    pack: Any,
    tiny_sdxl: Any,
    case: Case,
    sampler_name: str = "euler",
    scheduler: str = "reference",
    **overrides: Any,
) -> Any:
    """Return the output of the ID-Patch Sampler."""
    inputs = {
        "model": tiny_sdxl.model,
        "control_net": tiny_sdxl.control_net,
        **node_inputs(pack, case),
        "seed": 0,
        "steps": case.steps,
        "cfg": case.cfg,
        "sampler_name": sampler_name,
        "scheduler": scheduler,
        "injection_ratio": case.ratio,
        "control_strength": case.scale,
        **overrides,
    }
    return pack.nodes.sampler.IDPatchSampler.execute(**inputs)


@torch.inference_mode()
def composable_conditioning(
    pack: Any, tiny_sdxl: Any, case: Case, positive: Any = None, **inputs: Any
) -> tuple[Any, Any]:
    """Return positive and negative of ID Token Injector and Apply ID-Patch ControlNet."""
    given = {**node_inputs(pack, case), **inputs}
    if positive is not None:
        given["positive"] = positive
    hint = given.pop("id_hint")
    injector = pack.nodes.conditioning.IDPatchTokenInjector
    both = injector.execute(**given, injection_ratio=case.ratio).args
    control = (tiny_sdxl.control_net, hint, case.scale, 0.0, 1.0)
    return pack.nodes.controlnet.IDPatchApplyControlNet.execute(*both, *control).args


@torch.inference_mode()
def run_composable(
    pack: Any, tiny_sdxl: Any, case: Case, sampler_name: str, scheduler: str, seed: int = 0
) -> Tensor:
    """Return the latent of ID Token Injector, Apply ID-Patch ControlNet and ComfyUI's KSampler."""
    import nodes as comfyui_nodes  # pyright: ignore[reportMissingImports]

    positive, negative = composable_conditioning(pack, tiny_sdxl, case)
    latent = {"samples": torch.zeros_like(case.noise)}
    settings = (seed, case.steps, case.cfg, sampler_name, scheduler)
    return comfyui_nodes.common_ksampler(tiny_sdxl.model, *settings, positive, negative, latent)[0][
        "samples"
    ]
