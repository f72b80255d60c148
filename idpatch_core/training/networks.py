"""The networks of a training run: what learns in one module, what only judges beside it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arcface import embed, load_arcface
from ..canvas import compose, face_side, resize_patch
from ..checkpoint import is_face_sized, read_id_patch
from ..face_detector import YUNET_FILE
from ..layout import Point
from ..projection import Location, MLPProjection, Resampler, build_projection
from .config import Config, Projection
from .torch_alignment import align_faces
from .torch_yunet import Candidates, TorchYuNet

PROJECTIONS = ("patch_proj", "prompt_proj")


@dataclass(frozen=True)
class Condition:
    """What the networks are shown of B pictures beside the latents.

    It is no tuple: FSDP rounds every tensor it finds among a network's inputs to half precision,
    and points in pixels must stay exact.

    `text` (B, N, D), `pooled`, `time_ids`, `base` (B, 3, H, W), `points` (B, F, 2) in pixels,
    `token_embeddings` and `patch_embeddings` (B, F, 512), `patch_keep` (B) 1 or 0; `eyes` (B, F),
    their distance in pixels, is for face-sized patches.
    """

    text: Tensor
    pooled: Tensor
    time_ids: Tensor
    base: Tensor
    points: Tensor
    token_embeddings: Tensor
    patch_embeddings: Tensor
    patch_keep: Tensor
    eyes: Tensor | None = None


class Networks(nn.Module):
    """UNet, ControlNet and both projections; their parameters' names begin with these names."""

    def __init__(
        self,
        unet: Any,
        controlnet: Any,
        patch_proj: Any,
        prompt_proj: Any,
        face_sized: bool = False,
    ):
        super().__init__()
        self.face_sized = face_sized
        self.unet, self.controlnet = unet, controlnet
        self.patch_proj, self.prompt_proj = patch_proj, prompt_proj

    def forward(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        shown: Condition,
        strength: float = 1.0,
        token_gradient: float = 1.0,
    ) -> Tensor:
        """Return the UNet's prediction (B, C, H/8, W/8) with tokens and patches shown.

        `token_gradient` is for training: see `scaled_token_gradient`.
        """
        hint = self.hint(shown)
        text = torch.cat([shown.text, self.tokens(shown.token_embeddings, shown)], dim=1)
        with scaled_token_gradient(self.unet, token_gradient):
            return self.denoise(noisy, timesteps, text, shown, hint, strength)

    def tokens(self, embeddings: Tensor, shown: Condition) -> Tensor:
        """Return the ID tokens (B, F * T, D) of face features (B, F, 512)."""
        tokens = self.prompt_proj(embeddings.flatten(0, 1).unsqueeze(1))  # (B * F, T, D)
        if self.prompt_proj.location is not None:
            size = shown.points.new_tensor([shown.base.shape[3], shown.base.shape[2]])
            tokens = tokens + self.prompt_proj.location(shown.points / size).flatten(0, 1)
        return tokens.reshape(len(embeddings), -1, tokens.shape[-1]).to(shown.text.dtype)

    def hint(self, shown: Condition) -> Tensor:
        """Return the condition images (B, 3, H, W), composed as at inference."""
        patches = self.patch_proj(shown.patch_embeddings.flatten(0, 1).unsqueeze(1))
        side = int(patches.shape[-1] ** 0.5)
        patches = patches.float().unflatten(-1, (side, side))  # (B * F, 3, P, P)
        patches = patches.unflatten(0, shown.patch_embeddings.shape[:2])
        patches = patches * shown.patch_keep.view(-1, 1, 1, 1, 1)
        points = [[Point(*point) for point in row] for row in shown.points.tolist()]
        shown_patches: Sequence[Any] = patches
        if self.face_sized:
            assert shown.eyes is not None
            shown_patches = [
                [
                    resize_patch(patch, face_side(eyes, side))
                    for patch, eyes in zip(*row, strict=True)
                ]
                for row in zip(patches, shown.eyes.tolist(), strict=True)
            ]
        rows = zip(shown.base.split(1), shown_patches, points, strict=True)
        return torch.cat([compose(*row) for row in rows])

    def denoise(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        text: Tensor,
        shown: Condition,
        hint: Tensor,
        strength: float = 1.0,
    ) -> Tensor:
        added = {"text_embeds": shown.pooled, "time_ids": shown.time_ids}
        down, mid = self.controlnet(
            noisy, timesteps, text, hint, strength, added_cond_kwargs=added, return_dict=False
        )
        return self.unet(
            noisy,
            timesteps,
            text,
            added_cond_kwargs=added,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]


@contextmanager
def scaled_token_gradient(unet: Any, factor: float) -> Iterator[None]:
    """Multiply the gradient that the tokens get through the first half of a UNet.

    The prediction stays the same. A ControlNet acts on the second half of a UNet alone, so that
    the tokens are all that asks for a backward pass of a frozen first half. With 0 that pass is
    left out; with n in every n-th step and 0 between, the gradient is right on average.
    """

    def scale(_: nn.Module, inputs: tuple, named: dict) -> tuple[tuple, dict]:
        text = named.get("encoder_hidden_states")
        if text is not None and text.requires_grad:
            text = text.detach() if factor == 0 else text.view_as(text)
            if factor:
                text.register_hook(lambda gradient: gradient * factor)
            named = {**named, "encoder_hidden_states": text}
        return inputs, named

    blocks = () if factor == 1 else first_half(unet)
    hooks = [block.register_forward_pre_hook(scale, with_kwargs=True) for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def first_half(unet: Any) -> list[nn.Module]:
    """Return the blocks of a UNet before those that a ControlNet acts on."""
    return [*unet.down_blocks, unet.mid_block]


class FrozenNetworks(nn.Module):
    """Frozen networks that look at decoded pictures: VAE, face recognition, face detection."""

    def __init__(self, vae: Any, face: nn.Module | None, detector: TorchYuNet | None):
        super().__init__()
        self.vae, self.face, self.detector = vae, face, detector
        self.eval().requires_grad_(False)

    def decode(self, latents: Tensor) -> Tensor:
        """Return pictures (B, 3, H, W), about [0, 1], of latents in the UNet's space."""
        config = self.vae.config
        x = latents.to(self.vae.dtype) / config.scaling_factor
        if getattr(config, "shift_factor", None):
            x = x + config.shift_factor
        return self.vae.decode(x, return_dict=False)[0].float() / 2 + 0.5

    def features(self, pictures: Tensor, keypoints: Sequence[np.ndarray]) -> Tensor:
        """Return the face features (N, 512) of pictures (N, 3, H, W) with one face in each."""
        assert self.face is not None
        return face_features(self.face, align_faces(pictures, keypoints))

    def look(self, pictures: Tensor) -> Candidates:
        assert self.detector is not None
        return self.detector(pictures.clamp(0, 1))


def face_features(face: nn.Module, crops: Tensor) -> Tensor:
    """Return the face features (N, 512) of aligned crops (N, 3, 112, 112) RGB in [0, 1].

    It is `idpatch_core.arcface.embed`, with gradients.
    """
    return embed(face, crops.float().permute(0, 2, 3, 1) * 255)


def load_networks(config: Config, embedding_dim: int) -> Networks:
    """Load UNet, ControlNet and projections, or make those that the config leaves empty.

    `embedding_dim` is the length of an embedding. New parts are the same for the same `run.seed`.
    """
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(config.run.seed)
    base = _folder(config.models.base, "models.base")
    learnt = _folder(config.models.unet, "models.unet") if config.models.unet else base / "unet"
    unet: Any = UNet2DConditionModel.from_pretrained(str(learnt))
    if config.models.controlnet:
        folder = _folder(config.models.controlnet, "models.controlnet")
        control: Any = ControlNetModel.from_pretrained(str(folder))
    else:
        control = ControlNetModel.from_unet(unet)
        prepare_hint_layers(control.controlnet_cond_embedding)
    if config.models.id_patch:
        *states, metadata = read_id_patch(config.models.id_patch)
        face_sized = config.projection.face_sized or is_face_sized(metadata)
        halves: list[Any] = [
            build_projection({name: t.float().clone() for name, t in state.items()})
            for state in states
        ]
    else:
        face_sized = config.projection.face_sized
        halves = list(
            new_projections(config.projection, unet.config.cross_attention_dim, embedding_dim)
        )
    return Networks(unet.float(), control.float(), *halves, face_sized=face_sized)


def prepare_hint_layers(layers: nn.Module) -> None:
    """Let a new ControlNet see the condition image from the start.

    With PyTorch's own weights each of the seven convolutions halves what it passes on, until the
    biases are all that is left. He et al., arXiv 1502.01852, section 2.2. The last layer stays
    zero, as ControlNet wants.
    """
    for name, layer in layers.named_modules():
        if isinstance(layer, nn.Conv2d) and name != "conv_out":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def new_projections(
    wanted: Projection, context: int, embedding_dim: int
) -> tuple[nn.Module, nn.Module]:
    """Make the projection to patches and the one to tokens of `context` numbers."""
    sizes = ((3, wanted.patch**2), (wanted.tokens, context))
    first: Any
    second: Any
    if wanted.kind == "mlp":
        first, second = (MLPProjection(embedding_dim, *size, hidden=wanted.width) for size in sizes)
        for half in (first, second):  # face features have length 1: bring them to the layer's size
            nn.init.normal_(half.proj[0].weight)
            nn.init.zeros_(half.proj[0].bias)
    else:
        shape = {"width": wanted.width, "depth": wanted.depth, "heads": wanted.heads}
        first, second = (Resampler(embedding_dim, *size, **shape) for size in sizes)
    if wanted.location:
        second.location = Location(wanted.people, context)
        nn.init.normal_(second.location.index.weight, std=0.02)
        nn.init.normal_(second.location.point.weight, std=0.02)
    return first, second


def load_frozen_networks(config: Config) -> FrozenNetworks | None:
    """Load what the losses on decoded pictures and the samples need; None if nothing does."""
    looks = config.losses.identity or config.losses.matching or config.losses.detection
    if not (looks or config.sampling.every):
        return None
    face = load_arcface(config.models.face_model) if config.models.face_model else None
    detector = None
    if config.losses.detection:
        file = Path(config.models.detector or YUNET_FILE)
        if not file.is_file():
            raise ValueError(f"models.detector: there is no file {file}.")
        detector = TorchYuNet(file)
    return FrozenNetworks(load_vae(config.models.base), face, detector)


def load_vae(base: str) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL.from_pretrained(str(_folder(base, "models.base")), subfolder="vae").eval()


def load_alphas(base: str) -> tuple[Tensor, str]:
    """Return ᾱ (1000) of the base's noise schedule, and what its UNet predicts."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    path = _folder(base, "models.base") / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        raise ValueError(f"models.base: {path} is missing; it says what the UNet was trained on.")
    settings = json.loads(path.read_text("utf-8"))
    scheduler: Any = DDPMScheduler.from_config(settings)
    kind = settings.get("prediction_type", "epsilon")
    if kind not in ("epsilon", "v_prediction"):
        raise ValueError(f"models.base: prediction_type {kind} is not known.")
    return scheduler.alphas_cumprod.float(), kind


def _folder(path: str, setting: str) -> Path:
    if not Path(path).is_dir():
        raise ValueError(f"{setting}: there is no folder {path}.")
    return Path(path)
