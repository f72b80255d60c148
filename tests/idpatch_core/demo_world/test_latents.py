"""Scenes are encoded in parts, of which an interrupted command keeps those that are whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from idpatch_core.demo_world import latents
from idpatch_core.demo_world.train_vae import new_vae


def test_latents_are_kept_in_parts(tmp_path: Path, monkeypatch):
    torch.manual_seed(0)
    vae = new_vae(4)
    vae.register_to_config(scaling_factor=0.5)
    vae.save_pretrained(str(tmp_path / "base" / "vae"))
    scenes = tmp_path / "scenes" / "more"
    scenes.mkdir(parents=True)
    for index in range(5):
        pixels = np.full((32, 64, 3), 50 * index, np.uint8)
        Image.fromarray(pixels).save(scenes / f"{index}.png")
        (scenes / f"{index}.json").write_text(json.dumps({"caption": f"scene {index}"}))
    monkeypatch.setattr(latents, "PART", 2)
    first = latents.load_latents(tmp_path, "more", "no")
    assert first.captions == [f"scene {index}" for index in range(5)]
    assert first.means.shape == first.deviations.shape == (5, 4, 4, 8)
    files = sorted((tmp_path / "latents").iterdir())
    assert len(files) == 3
    files[1].unlink()
    encoded: list[int] = []
    original: Any = latents.encode_images

    def encode(vae: Any, images: torch.Tensor) -> Any:
        encoded.extend(images[:, 0, 0, 0].tolist())
        return original(vae, images)

    monkeypatch.setattr(latents, "encode_images", encode)
    again = latents.load_latents(tmp_path, "more", "no")
    assert encoded == [100, 150]
    assert torch.equal(first.means, again.means)
