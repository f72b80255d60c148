"""The trainable networks: UNet, ControlNet and the two projections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..canvas import compose, face_side, resize_patch
from ..checkpoint import is_face_sized, read_id_patch
from ..layout import Point
from ..location import Location
from ..projection import MLPProjection, Resampler, build_projection
from .base_model import check_folder
from .config import Config, ProjectionConfig
from .text_mask import masked_text
from .token_gradient import scaled_token_gradient


@dataclass(frozen=True)
class Condition:
    """The networks' inputs for B images, other than the latents.

    Not a tuple, because FSDP casts every tensor it finds among a network's inputs to half
    precision, and points in pixels must stay exact.

    `text` (B, N, D), `pooled`, `time_ids`, `base` (B, 3, H, W), `points` (B, F, 2) in pixels,
    `token_embeddings` and `patch_embeddings` (B, F, 512), `patch_keep` (B) 1 or 0;
    `eye_distances` (B, F) in pixels, for face-sized patches; `inject` (B), False for images whose
    text has no ID tokens; None: all have them.
    """

    text: Tensor
    pooled: Tensor
    time_ids: Tensor
    base: Tensor
    points: Tensor
    token_embeddings: Tensor
    patch_embeddings: Tensor
    patch_keep: Tensor
    eye_distances: Tensor | None = None
    inject: Tensor | None = None


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

    @property
    def text_dim(self) -> int:
        """The width of the text's vectors and of the ID tokens."""
        return self.unet.config.cross_attention_dim

    def forward(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        condition: Condition,
        strength: float = 1.0,
        token_gradient: float = 1.0,
    ) -> Tensor:
        """Return the UNet's prediction (B, C, H/8, W/8) with ID tokens and ID patches.

        `token_gradient` is the factor of `scaled_token_gradient`.
        """
        hint = self.hint(condition)
        tokens = self.tokens(condition.token_embeddings, condition)
        text = torch.cat([condition.text, tokens], dim=1)
        mask = None
        if condition.inject is not None:
            shown = condition.inject[:, None].expand(-1, tokens.shape[1])
            mask = torch.cat([torch.ones_like(text[:, : -tokens.shape[1], 0]), shown], dim=1)
        with scaled_token_gradient(self.unet, token_gradient):
            return self.denoise(noisy, timesteps, text, condition, hint, strength, mask)

    def tokens(self, embeddings: Tensor, condition: Condition) -> Tensor:
        """Return the ID tokens (B, F * T, D) of embeddings (B, F, 512)."""
        tokens = self.prompt_proj(embeddings.flatten(0, 1).unsqueeze(1))  # (B * F, T, D)
        if self.prompt_proj.location is not None:
            height, width = condition.base.shape[2:]
            size = condition.points.new_tensor([width, height])
            tokens = tokens + self.prompt_proj.location(condition.points / size).flatten(0, 1)
        return tokens.reshape(len(embeddings), -1, tokens.shape[-1]).to(condition.text.dtype)

    def hint(self, condition: Condition) -> Tensor:
        """Return the condition images (B, 3, H, W), composed as at inference."""
        embeddings = condition.patch_embeddings
        patches = self.patch_proj(embeddings.flatten(0, 1).unsqueeze(1))
        side = int(patches.shape[-1] ** 0.5)
        patches = patches.float().unflatten(-1, (side, side))  # (B * F, 3, P, P)
        patches = patches.unflatten(0, embeddings.shape[:2])
        patches = patches * condition.patch_keep.view(-1, 1, 1, 1, 1)
        rows: Sequence[Sequence[Tensor] | Tensor] = [*patches]  # B times (F, 3, P, P)
        if self.face_sized:
            assert condition.eye_distances is not None
            rows = [
                [resize_patch(p, face_side(d, side)) for p, d in zip(row, distances, strict=True)]
                for row, distances in zip(rows, condition.eye_distances.tolist(), strict=True)
            ]
        points = [[Point(*point) for point in row] for row in condition.points.tolist()]
        images = zip(condition.base.split(1), rows, points, strict=True)
        return torch.cat([compose(*image) for image in images])

    def denoise(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        text: Tensor,
        condition: Condition,
        hint: Tensor,
        strength: float = 1.0,
        text_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the UNet's prediction with a given text and condition image.

        `text_mask` (B, N) is 0 at the text's vectors that are not to be seen.
        """
        added = {"text_embeds": condition.pooled, "time_ids": condition.time_ids}
        with masked_text(self.controlnet, text_mask):
            down, mid = self.controlnet(
                noisy, timesteps, text, hint, strength, added_cond_kwargs=added, return_dict=False
            )
        return self.unet(
            noisy,
            timesteps,
            text,
            added_cond_kwargs=added,
            encoder_attention_mask=text_mask,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]


def load_networks(config: Config, embedding_dim: int) -> Networks:
    """Load UNet, ControlNet and projections, or make new ones where the config names no file.

    New parts depend on `run.seed` alone.
    """
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(config.run.seed)
    folder = check_folder(config.models.base, "models.base") / "unet"
    if config.models.unet:
        folder = check_folder(config.models.unet, "models.unet")
    unet: Any = UNet2DConditionModel.from_pretrained(str(folder))
    if config.models.controlnet:
        folder = check_folder(config.models.controlnet, "models.controlnet")
        controlnet: Any = ControlNetModel.from_pretrained(str(folder))
    else:
        controlnet = ControlNetModel.from_unet(unet)
        initialise_hint_layers(controlnet.controlnet_cond_embedding)
    if config.models.id_patch:
        *states, metadata = read_id_patch(config.models.id_patch)
        face_sized = config.projection.face_sized or is_face_sized(metadata)
        projections: list[Any] = [
            build_projection({name: t.float().clone() for name, t in state.items()})
            for state in states
        ]
    else:
        face_sized = config.projection.face_sized
        context_dim = unet.config.cross_attention_dim
        projections = list(new_projections(config.projection, context_dim, embedding_dim))
    return Networks(unet.float(), controlnet.float(), *projections, face_sized=face_sized)


def initialise_hint_layers(layers: nn.Module) -> None:
    """Initialise a new ControlNet's hint layers so that the condition image reaches its output.

    With PyTorch's default initialisation each of the seven convolutions halves its input, until
    only the biases remain. The last layer stays zero, as ControlNet requires.
    Source: He et al., arXiv 1502.01852, section 2.2.
    """
    for name, layer in layers.named_modules():
        if isinstance(layer, nn.Conv2d) and name != "conv_out":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def new_projections(
    config: ProjectionConfig, context_dim: int, embedding_dim: int
) -> tuple[nn.Module, nn.Module]:
    """Make the projection to patches and the one to tokens of `context_dim` channels."""
    sizes = ((3, config.patch_size**2), (config.tokens, context_dim))
    patch_proj: Any
    prompt_proj: Any
    if config.kind == "mlp":
        patch_proj, prompt_proj = (
            MLPProjection(embedding_dim, *size, hidden=config.width) for size in sizes
        )
        for projection in (patch_proj, prompt_proj):
            # An embedding has length 1: this scales it to the usual input of a layer.
            nn.init.normal_(projection.proj[0].weight)
            nn.init.zeros_(projection.proj[0].bias)
    else:
        shape = {"width": config.width, "depth": config.depth, "heads": config.heads}
        patch_proj, prompt_proj = (Resampler(embedding_dim, *size, **shape) for size in sizes)
    if config.location_embedding:
        prompt_proj.location = Location(config.max_people, context_dim)
        nn.init.normal_(prompt_proj.location.index.weight, std=0.02)
        nn.init.normal_(prompt_proj.location.point.weight, std=0.02)
    return patch_proj, prompt_proj
