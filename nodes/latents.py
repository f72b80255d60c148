"""The latent that the ID-Patch Sampler starts from."""

from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ..idpatch_core.canvas import LATENT_SCALE, Hint

# Keys of the newest ComfyUI that describe an empty latent, which its samplers drop.
EMPTY_KEYS = ("downscale_ratio_spacial", "downscale_ratio_temporal")
ADVICE = "Connect Empty Latent Image, or an image encoded by SDXL's VAE."


def make_latent(id_hint: Hint, latent_image: dict[str, Any] | None, channels: int = 4) -> dict:
    """Return an empty latent of the hint's size, or the given one if that fits.

    `channels` are those of the model's latents. An empty latent of another model is replaced by
    one of the same batch size; one frame of a video model is taken as an image.
    """
    size = id_hint.height // LATENT_SCALE, id_hint.width // LATENT_SCALE
    if latent_image is None:
        return {"samples": _empty(1, channels, size)}
    latent = {key: value for key, value in latent_image.items() if key not in EMPTY_KEYS}
    samples = read_samples(latent_image)
    scale = latent_image.get(EMPTY_KEYS[0]) or LATENT_SCALE
    if not samples.any() and (samples.shape[1], scale) != (channels, LATENT_SCALE):
        height, width = (round(side * scale / LATENT_SCALE) for side in samples.shape[2:])
        samples = _empty(len(samples), channels, (height, width))
    if samples.shape[1] != channels:
        raise ValueError(
            f"latent_image: it has {samples.shape[1]} channels, this model's have {channels}: it "
            f"was made for another model. {ADVICE}"
        )
    if tuple(samples.shape[2:]) != size:
        height, width = (side * LATENT_SCALE for side in samples.shape[2:])
        raise ValueError(
            f"latent_image: it is for an image of {width}x{height} pixels, the hint is "
            f"{id_hint.width}x{id_hint.height}. Give the latent and the Patch Placer the same "
            "size."
        )
    return {**latent, "samples": samples}


def _empty(batch: int, channels: int, size: tuple[int, int]) -> Tensor:
    return torch.zeros(
        [batch, channels, *size], device=comfy.model_management.intermediate_device()
    )


def read_samples(latent: dict[str, Any]) -> Tensor:
    """Return a latent's samples (B, C, H, W), of a video those of its only frame."""
    samples = latent.get("samples")
    if getattr(samples, "is_nested", False):
        raise ValueError(f"latent_image: it holds a video with its sound. {ADVICE}")
    if not isinstance(samples, Tensor):
        raise ValueError(f"latent_image: it holds no samples. {ADVICE}")
    if samples.ndim == 5 and samples.shape[2] == 1:
        samples = samples[:, :, 0]
    if samples.ndim == 5:
        raise ValueError(
            f"latent_image: it holds {samples.shape[2]} frames of a video, expected an image. "
            f"{ADVICE}"
        )
    if samples.ndim != 4 or not samples.numel():
        shape = "x".join(map(str, samples.shape))
        raise ValueError(f"latent_image: its shape is {shape}, expected an image's. {ADVICE}")
    return samples
