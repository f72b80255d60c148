"""A small face encoder is trained, and read by the usual loader."""

from pathlib import Path

import torch

from idpatch_core.arcface import embed, load_arcface
from idpatch_core.demo_world.crops import draw_crops
from idpatch_core.demo_world.train_encoder import measure_accuracy, train_face_encoder

BLOCKS = [(8, 8), (8, 16), (16, 16), (16, 16)]


def test_people_learn_to_be_told_apart(tmp_path: Path):
    crops = draw_crops(tmp_path / "a.crops", 0, 8, 3, workers=1)
    assert crops.shape == (8, 3, 112, 112, 3)
    file = tmp_path / "face.safetensors"
    train_face_encoder(file, crops, BLOCKS, 40, 16, seed=0)
    network = load_arcface(file)
    assert measure_accuracy(network, crops) >= 0.75  # chance: 1 in 8
    train_face_encoder(file, crops, BLOCKS, 40, 16, seed=0)
    again = load_arcface(file)
    assert torch.equal(embed(network, crops[0]), embed(again, crops[0]))
