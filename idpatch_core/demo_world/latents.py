"""Encodes the scenes of a world once, for the training of the base model."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..training.base_model import load_vae
from ..training.sources import find_sources, read_annotation
from .files import load_scenes, save_tensors

PART = 1000  # images of a file


class LatentSet(NamedTuple):
    """Scaled latents of N scenes: means and deviations (N, C, h, w), and the captions."""

    means: Tensor
    deviations: Tensor
    captions: list[str]


def encode_images(vae: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (N, C, H/8, W/8) of the latents of images (N, H, W, 3) uint8.

    They are not scaled by the VAE's scaling factor.
    """
    latents = vae.encode(images.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist
    return latents.mean, latents.std


@torch.no_grad()
def load_latents(folder: Path, name: str, precision: str) -> LatentSet:
    """Return the latents of a set of scenes.

    They are kept in `latents/`, in parts, and read from there if they exist.
    """
    from tqdm import tqdm

    vae, scenes = load_vae(str(folder / "base")), folder / "scenes" / name
    captions = [read_annotation(source.annotation).caption for source in find_sources(scenes)]
    starts = range(0, len(captions), PART)
    files = [folder / "latents" / f"{name}-{start:06d}.safetensors" for start in starts]
    images = None if all(file.is_file() for file in files) else load_scenes(scenes)
    parts = []
    for start, file in zip(starts, files, strict=True):
        if not file.is_file():
            assert images is not None
            batches = images[start : start + PART].split(8)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                pairs = [encode_images(vae, batch) for batch in tqdm(batches, desc=file.stem)]
            means, deviations = (
                torch.cat(tensors).half().contiguous() for tensors in zip(*pairs, strict=True)
            )
            save_tensors({"means": means, "deviations": deviations}, file)
        parts.append(load_file(file))
    scale = vae.config.scaling_factor
    means, deviations = (
        torch.cat([part[key] for part in parts]) * scale for key in ("means", "deviations")
    )
    return LatentSet(means, deviations, captions)
