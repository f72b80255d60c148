"""The small encoders of the demo world learn, and are read by the usual loaders."""

from pathlib import Path

import numpy as np
import torch

from idpatch_core.arcface import embed
from idpatch_core.demo_world.train_encoder import (
    appearance,
    crops,
    top_one,
    train_face_encoder,
    vary,
)
from idpatch_core.demo_world.train_vae import encode, new_vae, restored, train_vae

BLOCKS = [(8, 8), (8, 16), (16, 16), (16, 16)]


def test_an_appearance_is_its_number() -> None:
    np.testing.assert_array_equal(appearance(3, 1), appearance(3, 1))
    assert (appearance(3, 1) != appearance(3, 2)).any()


def test_people_learn_to_be_told_apart(tmp_path: Path) -> None:
    faces = crops(tmp_path / "a.crops", 0, 8, 3, workers=1)
    assert faces.shape == (8, 3, 112, 112, 3)
    network = train_face_encoder(tmp_path / "face.safetensors", faces, BLOCKS, 40, 16, seed=0)
    assert top_one(network, faces) >= 0.75  # chance: 1 in 8
    again = train_face_encoder(tmp_path / "face.safetensors", faces, BLOCKS, 40, 16, seed=0)
    assert torch.equal(embed(network, faces[0]), embed(again, faces[0]))


def test_variation_keeps_the_size_and_range() -> None:
    faces = torch.full((4, 112, 112, 3), 250.0)
    varied = vary(faces, np.random.default_rng(0))
    assert varied.shape == faces.shape
    assert varied.min() > 200 and varied.max() <= 255
    assert len(varied[:, 50, 50, 0].unique()) == 4


def test_the_vae_learns_and_its_latents_have_unit_spread(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (3, 3, 4, 3), dtype=np.uint8)
    scenes = torch.from_numpy(small.repeat(32, axis=1).repeat(32, axis=2))
    torch.manual_seed(0)
    before = restored(new_vae(8), scenes)
    vae = train_vae(tmp_path / "vae", scenes, 8, 16, 2, seed=0)
    assert restored(vae, scenes) > before + 0.5
    with torch.no_grad():
        spread = encode(vae, scenes)[0].std() * vae.config.scaling_factor
    assert abs(spread - 1) < 1e-3
