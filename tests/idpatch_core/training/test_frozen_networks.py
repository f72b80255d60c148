"""The frozen networks are those of inference."""

import numpy as np
import torch
from training_world import tiny_face_model

from idpatch_core.arcface import embed
from idpatch_core.training.frozen_networks import embed_crops


def test_face_recognition_is_that_of_inference():
    face = tiny_face_model()
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8))
    embeddings = embed_crops(face, crops.permute(0, 3, 1, 2) / 255)
    torch.testing.assert_close(embeddings, embed(face, crops), atol=1e-5, rtol=0)
