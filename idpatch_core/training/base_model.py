"""The base model, SDXL as a diffusers folder: its VAE and its noise schedule."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from .losses import EPSILON, VELOCITY


def check_folder(path: str, setting: str) -> Path:
    """Return the folder; ValueError naming the setting if there is none."""
    if not Path(path).is_dir():
        raise ValueError(f"{setting}: there is no folder {path}.")
    return Path(path)


def load_vae(base: str) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    folder = check_folder(base, "models.base")
    check_folder(str(folder / "vae"), "models.base")
    return AutoencoderKL.from_pretrained(str(folder), subfolder="vae").eval()


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Return images (B, 3, H, W), about [0, 1], of latents in the UNet's space."""
    x = latents.to(vae.dtype) / vae.config.scaling_factor
    if getattr(vae.config, "shift_factor", None):
        x = x + vae.config.shift_factor
    return vae.decode(x, return_dict=False)[0].float() / 2 + 0.5


def load_alphas(base: str) -> tuple[Tensor, str]:
    """Return ᾱ (1000) of the base's noise schedule, and the UNet's prediction type.

    Raises ValueError if the schedule is missing or of a prediction type other than ε and v.
    """
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    path = check_folder(base, "models.base") / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        raise ValueError(f"models.base: {path} is missing; it holds the noise schedule.")
    settings = json.loads(path.read_text("utf-8"))
    scheduler: Any = DDPMScheduler.from_config(settings)
    prediction_type = settings.get("prediction_type", EPSILON)
    if prediction_type not in (EPSILON, VELOCITY):
        raise ValueError(
            f"models.base: expected the prediction type {EPSILON} or {VELOCITY} in {path}, got "
            f"{prediction_type}."
        )
    return scheduler.alphas_cumprod.float(), prediction_type
