"""Samples a person's head again: an enlarged crop, with that person's patch and tokens alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import comfy.controlnet
import comfy.model_patcher
import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.utils
import latent_preview
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..idpatch_core.canvas import Hint, compose, face_side, resize_patch
from ..idpatch_core.head_crops import CroppedHead, HeadCrop, resize_images
from ..idpatch_core.injection import Conditioning, inject_both, injection_percent, split_at
from ..idpatch_core.projection import IDPatches, tag_tokens
from ..idpatch_core.skeleton import draw_openpose
from . import region_gate
from .controlnet import apply_control_net
from .sigmas import compute_sigmas

ShowStep = Callable[[Tensor], None]  # with the estimate of the finished latent


class HeadSampler(NamedTuple):
    """The networks and settings with which heads are sampled."""

    model: comfy.model_patcher.ModelPatcher
    positive: Conditioning
    negative: Conditioning
    vae: comfy.sd.VAE
    control_net: comfy.controlnet.ControlNet
    seed: int
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    denoise: float
    control_strength: float
    guide_patches: bool


def check_vae(vae: comfy.sd.VAE, model: comfy.model_patcher.ModelPatcher) -> None:
    """Raise a ValueError if the latents of the VAE are not those of the model."""
    latent_format: Any = model.get_model_object("latent_format")
    if vae.latent_channels != latent_format.latent_channels:
        raise ValueError(
            f"vae: its latents have {vae.latent_channels} channels, those of the model "
            f"{latent_format.latent_channels}. Connect the VAE of the model's checkpoint."
        )


def remove_gate(model: comfy.model_patcher.ModelPatcher) -> comfy.model_patcher.ModelPatcher:
    """Return the model without the regions of a Region Gate or of Describe People.

    They are those of a whole image.
    """
    wrappers = comfy.patcher_extension.WrappersMP
    if not model.get_wrappers(wrappers.CALC_COND_BATCH, region_gate.KEY):
        return model
    model = model.clone()
    for wrapper in (wrappers.CALC_COND_BATCH, wrappers.OUTER_SAMPLE):
        model.remove_wrappers_with_key(wrapper, region_gate.KEY)
    return model


def take_person(id_patches: IDPatches, person: int) -> IDPatches:
    """Return the ID patches of one person alone."""
    one = slice(person, person + 1)
    return id_patches._replace(
        patches=id_patches.patches[one],
        tokens=id_patches.tokens[one],
        zero_tokens=id_patches.zero_tokens[one],
        people=id_patches.people[one],
    )


def crop_hint(
    hint: Hint, crop: HeadCrop, head: CroppedHead, one: IDPatches, width: int, height: int
) -> Hint:
    """Return the hint of one person in the enlarged crop of an image of width x height.

    All skeletons are drawn in the crop's pixels. Where the hint has none, its base is cropped and
    enlarged.
    """
    size = crop.enlarged_width, crop.enlarged_height
    if hint.poses is not None:
        poses = hint.poses.cpu().double().numpy() * [width / hint.width, height / hint.height, 1.0]
        drawn = draw_openpose(crop.poses_to_crop(poses), *size)
        base = torch.from_numpy(drawn).permute(2, 0, 1)[None].float() / 255
    else:
        whole = F.interpolate(hint.base, (height, width), mode="bicubic", align_corners=False)
        base = resize_images(crop.cut(whole.clamp(0, 1).movedim(1, -1)), *size).movedim(-1, 1)
    point = crop.to_crop(head.point)
    side = one.patches.shape[-1]
    if one.face_sized:
        side = face_side(head.eye_distance * crop.enlarged_width / crop.width, side)
    image = compose(base, [resize_patch(one.patches[0], side)], [point])
    return Hint(image, base, (point,), one.names)


def sample_heads(
    settings: HeadSampler,
    pixels: Tensor,
    hint: Hint,
    one: IDPatches,
    indices: list[int],
    mask: Tensor,
    show_step: ShowStep,
) -> Tensor:
    """Return enlarged crops (B, H, W, 3) of one person's head, sampled again.

    `indices` are those of the crops' images in their batch, each of which has noise of its own.
    What lies outside the mask (h, w), of any size, is given to the model as it is, so that the new
    head fits its surroundings.
    """
    model, sigmas = settings.model, _cut_sigmas(settings)
    one = tag_tokens(one, hint.points, hint.width, hint.height)
    split = split_at(injection_percent(1.0))
    positive, negative = inject_both(settings.positive, settings.negative, one, 1.0, split)
    positive, negative = apply_control_net(
        positive,
        negative,
        settings.control_net,
        hint,
        settings.control_strength,
        0.0,
        1.0,
        settings.guide_patches,
    )
    latent = settings.vae.encode(pixels[..., :3])
    noise: Any = comfy.sample.prepare_noise(latent, settings.seed, np.array(indices))
    samples = comfy.sample.sample_custom(
        model,
        noise,
        settings.cfg,
        comfy.samplers.sampler_object(settings.sampler_name),
        sigmas,
        positive,
        negative,
        latent,
        noise_mask=mask[None, None].float(),
        callback=make_callback(show_step),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=settings.seed,
    )
    return settings.vae.decode(samples).to("cpu", torch.float32).clamp(0, 1)


def make_callback(show_step: ShowStep) -> Callable[[int, Tensor, Tensor, int], None]:
    """Return what a sampler calls at each step, with the step and the estimate first."""
    return lambda step, x0, x, total: show_step(x0)


def _cut_sigmas(settings: HeadSampler) -> Tensor:
    sigmas = compute_sigmas(
        settings.model,
        settings.sampler_name,
        settings.scheduler,
        settings.steps,
        settings.denoise,
    )
    return sigmas[-(settings.steps + 1) :]


def make_progress(model: comfy.model_patcher.ModelPatcher, steps: int) -> ShowStep:
    """Return a function that advances one progress bar of so many steps, with a preview."""
    bar = comfy.utils.ProgressBar(steps)
    latent_format: Any = model.get_model_object("latent_format")
    previewer = latent_preview.get_previewer(model.load_device, latent_format)
    done = 0

    def show_step(x0: Tensor) -> None:
        nonlocal done
        done += 1
        preview = previewer and previewer.decode_latent_to_preview_image("JPEG", x0)
        bar.update_absolute(done, steps, preview)

    return show_step
