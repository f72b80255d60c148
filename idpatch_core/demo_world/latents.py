"""Encodes the scenes of a world once, for the training of the base model."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..training.base_model import load_vae
from ..training.sources import find_sources, read_annotation
from .files import load_scenes, save_tensors


def encode_images(vae: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (N, C, H/8, W/8) of the latents of images (N, H, W, 3) uint8.

    They are not scaled by the VAE's scaling factor.
    """
    latents = vae.encode(images.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist
    return latents.mean, latents.std


@torch.no_grad()
def load_latents(folder: Path, precision: str) -> tuple[tuple[Tensor, Tensor], list[str]]:
    """Return the training scenes' scaled latents (means and deviations), and their captions.

    Latents are kept in `latents.safetensors`, and read from it if it exists.
    """
    from tqdm import tqdm

    vae = load_vae(str(folder / "base"))
    scenes, file = folder / "scenes" / "training", folder / "latents.safetensors"
    if not file.is_file():
        parts = load_scenes(scenes).split(8)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            pairs = [encode_images(vae, part) for part in tqdm(parts, desc="latents")]
        means, deviations = (
            torch.cat(tensors).half().contiguous() for tensors in zip(*pairs, strict=True)
        )
        save_tensors({"means": means, "deviations": deviations}, file)
    tensors = load_file(file)
    scale = vae.config.scaling_factor
    captions = [read_annotation(source.annotation).caption for source in find_sources(scenes)]
    return (tensors["means"] * scale, tensors["deviations"] * scale), captions
