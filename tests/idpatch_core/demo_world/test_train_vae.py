"""A small VAE is trained, and its latents are scaled to unit variance."""

from pathlib import Path

import numpy as np
import torch

from idpatch_core.demo_world.latents import encode_images
from idpatch_core.demo_world.train_vae import measure_psnr, new_vae, train_vae
from idpatch_core.demo_world.world import VaeSettings


def test_the_vae_learns_and_its_latents_have_unit_spread(tmp_path: Path):
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (3, 3, 4, 3), dtype=np.uint8)
    scenes = torch.from_numpy(small.repeat(32, axis=1).repeat(32, axis=2))
    torch.manual_seed(0)
    before = measure_psnr(new_vae(8), scenes)
    vae = train_vae(tmp_path / "vae", scenes, VaeSettings(8, 16, 2), seed=0)
    assert measure_psnr(vae, scenes) > before + 0.5
    with torch.no_grad():
        spread = encode_images(vae, scenes)[0].std() * vae.config.scaling_factor
    assert abs(spread - 1) < 1e-3
