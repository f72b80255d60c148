"""Trains a small AutoencoderKL on crops of the scenes.

Losses: absolute and squared error of pixels, absolute error of their differences (drawn lines are
thin), and the KL term of Rombach et al., arXiv 2112.10752, section 3.1. The latents are scaled
afterwards to unit variance. Group norms have few groups: 32 groups of one channel each would remove
flat colours.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .latents import encode_images
from .loop import LossTerms, fit
from .world import VaeSettings

KL_WEIGHT = 1e-6
INITIAL_LOG_VARIANCE = -5.0  # of the latents; with more noise, training starts slowly


def new_vae(channels: int, widths: tuple[int, ...] = (32, 32, 64, 128)) -> Any:
    """Make an AutoencoderKL that halves the image three times."""
    from diffusers.models.autoencoders import autoencoder_kl

    network: Any = autoencoder_kl.AutoencoderKL  # its hints know tuples of one only
    return network(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=8,
        sample_size=256,
    )


def initialise_weights(vae: Any) -> None:
    """Initialise weights so that each layer keeps the variance; PyTorch's own reduce it."""
    for name, layer in vae.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
            if name.endswith(("conv2", "to_out.0")):  # last layers of residual blocks
                layer.weight.data *= 0.1


def train_vae(
    folder: Path,
    scenes: Tensor,
    settings: VaeSettings,
    seed: int,
    precision: str = "no",
) -> Any:
    """Train on scenes (N, H, W, 3) uint8; write the VAE in diffusers' layout to `folder`."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    if not (folder / "config.json").is_file():
        torch.manual_seed(seed)
        vae = new_vae(settings.channels, settings.widths)
        initialise_weights(vae)
        with torch.no_grad():
            vae.quant_conv.weight[settings.channels :] = 0
            vae.quant_conv.bias[settings.channels :] = INITIAL_LOG_VARIANCE

        def compute_loss(step: int) -> LossTerms:
            random = np.random.default_rng([seed, step, 60])
            x = _sample_crops(scenes, random, settings.batch, settings.crop)
            latents = vae.encode(x).latent_dist
            noise = torch.from_numpy(random.standard_normal(latents.mean.shape, np.float32))
            y = vae.decode(latents.mean + latents.std * noise).sample
            edges = sum((y.diff(dim=d) - x.diff(dim=d)).abs().mean() for d in (2, 3))
            error = y - x
            pixels = error.abs().mean() + 2 * error.square().mean()
            kl = KL_WEIGHT * latents.kl().mean()
            return {"pixels": pixels, "edges": edges, "kl": kl}  # pyright: ignore[reportReturnType]

        weights = folder.with_suffix(".safetensors")
        fit(vae, compute_loss, weights, settings.steps, 1e-3, 0.998, precision)
        vae.register_to_config(scaling_factor=1 / _measure_deviation(vae, scenes))
        vae.save_pretrained(str(folder))
    return AutoencoderKL.from_pretrained(str(folder)).eval()


def _sample_crops(scenes: Tensor, random: np.random.Generator, batch: int, side: int) -> Tensor:
    height, width = scenes.shape[1:3]
    crops = []
    for _ in range(batch):
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        scene = scenes[int(random.integers(len(scenes)))]
        crops.append(scene[top : top + side, left : left + side])
    return torch.stack(crops).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def _measure_deviation(vae: Any, scenes: Tensor) -> float:
    """Return the standard deviation of the first scenes' latents."""
    means = [encode_images(vae, part)[0] for part in scenes[:64].split(8)]
    return float(torch.cat(means).std())


@torch.no_grad()
def measure_psnr(vae: Any, scenes: Tensor) -> float:
    """Return the PSNR in dB of scenes (N, H, W, 3) uint8 that were encoded and decoded."""
    errors = []
    for part in scenes.split(8):
        x = part.permute(0, 3, 1, 2).float() / 127.5 - 1
        y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
        errors.append(((x - y) / 2).square().mean())
    return float(-10 * torch.stack(errors).mean().log10())
