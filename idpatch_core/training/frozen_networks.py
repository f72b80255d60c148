"""The frozen networks that the losses on decoded images use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..arcface import embed_pixels, load_arcface
from ..face_detector import YUNET_FILE
from .base_model import decode, load_vae
from .config import Config
from .torch_alignment import align_faces
from .torch_yunet import Candidates, TorchYuNet


class FrozenNetworks(nn.Module):
    """The VAE and, where the losses need them, face recognition and face detection."""

    def __init__(self, vae: Any, face: nn.Module | None, detector: TorchYuNet | None):
        super().__init__()
        self.vae, self.face, self.detector = vae, face, detector
        self.eval().requires_grad_(False)

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (B, 3, H, W), about [0, 1], of latents in the UNet's space."""
        return decode(self.vae, latents)

    def embed_faces(self, images: Tensor, keypoints: Sequence[np.ndarray]) -> Tensor:
        """Return the embeddings (N, 512) of images (N, 3, H, W) with one face in each."""
        assert self.face is not None
        return embed_crops(self.face, align_faces(images, keypoints))

    def detect_faces(self, images: Tensor) -> Candidates:
        assert self.detector is not None
        return self.detector(images.clamp(0, 1))


def embed_crops(face: nn.Module, crops: Tensor) -> Tensor:
    """Return the embeddings (N, 512) of aligned crops (N, 3, 112, 112) RGB in [0, 1].

    The same as `idpatch_core.arcface.embed`, for crops with gradients.
    """
    return embed_pixels(face, crops.float() * 255)


def load_frozen_networks(config: Config) -> FrozenNetworks | None:
    """Load what the face losses of the config need; None if it has none and takes no samples."""
    face_losses = config.losses.identity or config.losses.matching or config.losses.detection
    if not (face_losses or config.sampling.every):
        return None
    face = load_arcface(config.models.face_model) if config.models.face_model else None
    detector = None
    if config.losses.detection:
        file = Path(config.models.detector or YUNET_FILE)
        if not file.is_file():
            raise ValueError(f"models.detector: there is no file {file}.")
        detector = TorchYuNet(file)
    return FrozenNetworks(load_vae(config.models.base), face, detector)
