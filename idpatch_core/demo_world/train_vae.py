"""Trains a small AutoencoderKL on crops of the scenes.

Losses: absolute and squared error of pixels, absolute error of their differences (drawn lines are
thin), and the KL term of Rombach et al., arXiv 2112.10752, section 3.1. The latents are scaled
afterwards to unit variance. Group norms have few groups: 32 of one channel would take flat colours
away.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .loop import Losses, fit

KL = 1e-6
LOG_VARIANCE = -5.0  # of the latents at first: with more noise nothing is learnt for long
CROP = 48  # pixels; the network is convolutional


def new_vae(channels: int, widths: tuple[int, ...] = (32, 32, 64, 128)) -> Any:
    """Make an AutoencoderKL that halves the picture three times."""
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


def train_vae(
    folder: Path,
    scenes: Tensor,
    channels: int,
    steps: int,
    batch: int,
    seed: int,
    precision: str = "no",
) -> Any:
    """Train on scenes (N, H, W, 3) uint8; write the VAE in diffusers' layout to `folder`."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    if not (folder / "config.json").is_file():
        torch.manual_seed(seed)
        vae = new_vae(channels)
        prepare_weights(vae)
        with torch.no_grad():
            vae.quant_conv.weight[channels:] = 0
            vae.quant_conv.bias[channels:] = LOG_VARIANCE

        def loss(step: int) -> Losses:
            random = np.random.default_rng([seed, step, 60])
            x = _crops(scenes, random, batch)
            latents = vae.encode(x).latent_dist
            noise = torch.from_numpy(random.standard_normal(latents.mean.shape, np.float32))
            y = vae.decode(latents.mean + latents.std * noise).sample
            edges = sum((y.diff(dim=d) - x.diff(dim=d)).abs().mean() for d in (2, 3))
            error = y - x
            pixels = error.abs().mean() + 2 * error.square().mean()
            return {"pixels": pixels, "edges": edges, "kl": KL * latents.kl().mean()}  # pyright: ignore[reportReturnType]

        fit(vae, loss, folder.with_suffix(".safetensors"), steps, 1e-3, 0.998, precision)
        vae.register_to_config(scaling_factor=1 / _spread(vae, scenes))
        vae.save_pretrained(str(folder))
    return AutoencoderKL.from_pretrained(str(folder)).eval()


def prepare_weights(vae: Any) -> None:
    """Let what comes in reach the other end at once; PyTorch's own weights weaken it a lot."""
    for name, layer in vae.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
            if name.endswith(("conv2", "to_out.0")):  # the ends of residual blocks
                layer.weight.data *= 0.1


def _crops(scenes: Tensor, random: np.random.Generator, batch: int) -> Tensor:
    height, width = scenes.shape[1:3]
    cut = []
    for _ in range(batch):
        top, left = random.integers(height - CROP + 1), random.integers(width - CROP + 1)
        one = scenes[int(random.integers(len(scenes)))]
        cut.append(one[top : top + CROP, left : left + CROP])
    return torch.stack(cut).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def _spread(vae: Any, scenes: Tensor) -> float:
    """Return the latents' standard deviation over the first scenes."""
    means = [encode(vae, part)[0] for part in scenes[:64].split(8)]
    return float(torch.cat(means).std())


def encode(vae: Any, scenes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the latents' mean and deviation (N, C, H/8, W/8), unscaled, of scenes in uint8."""
    latents = vae.encode(scenes.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist
    return latents.mean, latents.std


@torch.no_grad()
def restored(vae: Any, scenes: Tensor) -> float:
    """Return the PSNR in dB of scenes that were encoded and decoded."""
    errors = []
    for part in scenes.split(8):
        x = part.permute(0, 3, 1, 2).float() / 127.5 - 1
        y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
        errors.append(((x - y) / 2).square().mean())
    return float(-10 * torch.stack(errors).mean().log10())
