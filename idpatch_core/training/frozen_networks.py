"""The frozen networks that the losses on decoded images use."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arcface import embed_pixels, load_arcface
from ..face_detector import YUNET_FILE
from .base_model import decode, load_vae
from .config import Config
from .torch_alignment import align_faces
from .torch_yunet import Candidates, TorchYuNet

MEASURED_SIDE = 16  # of the latents whose decoding is measured


class FrozenNetworks(nn.Module):
    """The VAE and, where the losses need them, face recognition and face detection."""

    def __init__(self, vae: Any, face: nn.Module | None, detector: TorchYuNet | None):
        super().__init__()
        self.vae, self.face, self.detector = vae, face, detector
        self.eval().requires_grad_(False)

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (B, 3, H, W), about [0, 1], of latents in the UNet's space."""
        return decode(self.vae, latents)

    @cached_property
    def bytes_per_latent_pixel(self) -> float:
        """What decoding a latent pixel with gradients keeps in memory."""
        return measure_activations(self.vae) / MEASURED_SIDE**2

    def embed_faces(self, images: Tensor, keypoints: Sequence[np.ndarray]) -> Tensor:
        """Return the embeddings (N, 512) of images (N, 3, H, W) with one face in each."""
        assert self.face is not None
        return embed_crops(self.face, align_faces(images, keypoints))

    def detect_faces(self, images: Tensor) -> Candidates:
        assert self.detector is not None
        return self.detector(images.clamp(0, 1))


def measure_activations(vae: Any) -> int:
    """Return the bytes that are kept for the gradient of decoding MEASURED_SIDE² latent pixels."""
    kept: dict[int, int] = {}  # by the storage's address

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {w.untyped_storage().data_ptr() for w in vae.parameters()}
    weight = next(vae.parameters())
    shape = (1, vae.config.latent_channels, MEASURED_SIDE, MEASURED_SIDE)
    latents = torch.zeros(shape, dtype=weight.dtype, device=weight.device, requires_grad=True)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        decoded = vae.decode(latents, return_dict=False)[0]  # alive, so that no address is reused
    del decoded
    return sum(size for address, size in kept.items() if address not in weights)


def embed_crops(face: nn.Module, crops: Tensor) -> Tensor:
    """Return the embeddings (N, 512) of aligned crops (N, 3, 112, 112) RGB in [0, 1].

    The same as `idpatch_core.arcface.embed`, for crops with gradients.
    """
    return embed_pixels(face, crops.float() * 255)


def load_frozen_networks(config: Config, sampled: bool = False) -> FrozenNetworks | None:
    """Load what the face losses of the config need; None if it has none and is not sampled."""
    face_losses = config.losses.identity or config.losses.matching or config.losses.detection
    if not (face_losses or sampled):
        return None
    face = None
    if config.losses.identity or config.losses.matching:
        face = load_arcface(config.models.face_model)
    detector = None
    if config.losses.detection:
        file = Path(config.models.detector or YUNET_FILE)
        if not file.is_file():
            raise ValueError(f"models.detector: there is no file {file}.")
        detector = TorchYuNet(file)
    frozen = FrozenNetworks(load_vae(config.models.base), face, detector)
    if face_losses and config.losses.decode_memory:
        _check_decode_memory(frozen, config)
    return frozen


def _check_decode_memory(frozen: FrozenNetworks, config: Config) -> None:
    """Raise a ValueError if the memory is too little to decode a single window."""
    side = config.losses.decode_window or 1
    needed = frozen.bytes_per_latent_pixel * side**2 / 1e9
    if needed > config.losses.decode_memory:
        raise ValueError(
            f"losses.decode_memory: decoding one window of {side} x {side} latent pixels takes "
            f"{needed:.2f} GB, got {config.losses.decode_memory}."
        )


def load_scorer_network(config: Config) -> nn.Module:
    """Load the face model of the metrics: the config's scorer, or the conditioning model."""
    return load_arcface(config.models.scorer or config.models.face_model).requires_grad_(False)
