"""Encodes images, captions and faces once for all training steps."""

from collections import OrderedDict

import torch
from torch import Tensor

from ..arcface import embed, load_arcface
from .base_model import load_vae
from .find_people import PreparedImage
from .text_encoders import load_text_encoders

CACHED_CAPTIONS = 1000


class ImageEncoders:
    """The base's VAE and text encoders and the face model, on one device."""

    def __init__(self, base: str, face_model: str, device: str):
        self._vae = load_vae(base).to(device)
        self._text = load_text_encoders(base).to(device)
        self._face = load_arcface(face_model).to(device)
        self._device = device
        self.scaling_factor = float(self._vae.config.scaling_factor)
        self._captions: OrderedDict[str, dict[str, Tensor]] = OrderedDict()

    @torch.no_grad()
    def encode_caption(self, caption: str) -> dict[str, Tensor]:
        """Return `text` (N, D) and `pooled` (D') in half precision."""
        if caption not in self._captions:
            if len(self._captions) >= CACHED_CAPTIONS:
                self._captions.popitem(last=False)
            text, pooled = self._text([caption])
            encoded = {"text": text[0].half().cpu(), "pooled": pooled[0].half().cpu()}
            self._captions[caption] = encoded
        return dict(self._captions[caption])

    @torch.no_grad()
    def encode(self, image: PreparedImage) -> dict[str, Tensor]:
        """Return the tensors that training reads for an image."""
        pixels = torch.from_numpy(image.pixels).to(self._device)
        latents = self._vae.encode(pixels.permute(2, 0, 1)[None].float() / 127.5 - 1).latent_dist
        shift = getattr(self._vae.config, "shift_factor", None) or 0.0  # `decode` adds it
        crops = torch.from_numpy(image.crops)
        return {
            "latent_mean": latents.mean[0].cpu() - shift,
            "latent_std": latents.std[0].half().cpu(),
            **self.encode_caption(image.caption),
            "time_ids": torch.tensor(image.time_ids),
            "keypoints": torch.from_numpy(image.keypoints),
            "boxes": torch.from_numpy(image.boxes),
            "poses": torch.from_numpy(image.poses).float(),
            "crops": crops,
            "embeddings": embed(self._face, crops.to(self._device)).cpu(),
        }
