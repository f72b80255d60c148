"""The training objective: the weighted sum of the config's losses on a batch."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..canvas import LATENT_SCALE
from . import losses
from .config import LossConfig
from .data import Batch
from .frozen_networks import FrozenNetworks
from .networks import Condition
from .torch_yunet import Candidates


class DecodedFaces(NamedTuple):
    """N faces of decoded images.

    `images` (M, 3, H, W); `image_of` (N), the image of each face; `keypoints` (N, 5, 2) and
    `boxes` (N, 4) in its pixels; `alphas` (N), ᾱ_t of the image.
    """

    images: Tensor
    image_of: Tensor
    keypoints: Tensor
    boxes: Tensor
    alphas: Tensor


class Objective(NamedTuple):
    """The losses with their weights, the noise schedule ᾱ (1000), and the frozen networks."""

    config: LossConfig
    alphas: Tensor
    prediction_type: str
    frozen: FrozenNetworks | None = None

    def __call__(
        self,
        networks: nn.Module,
        batch: Batch,
        gather: Callable[[Tensor], Tensor] = lambda x: x,
        token_gradient: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum, and each loss by name, unweighted and detached.

        `gather` concatenates constants of all processes, for the matching loss; `token_gradient`
        is that of `Networks.forward`.
        """
        alphas = self.alphas[batch.timesteps]  # (B)
        noisy = losses.add_noise(batch.latents, batch.noise, alphas)
        prediction = networks(
            noisy, batch.timesteps, make_condition(batch), token_gradient=token_gradient
        )
        values: dict[str, Tensor] = {}
        if self.config.denoising:
            values["denoising"] = self._denoising(batch, prediction, alphas)
        if self.config.identity or self.config.detection or self.config.matching:
            values |= self._face_losses(batch, noisy, prediction.float(), alphas, gather)
        total = sum(
            (getattr(self.config, name) * loss for name, loss in values.items()), noisy.sum() * 0
        )
        return total, {name: loss.detach() for name, loss in values.items()}

    def _denoising(self, batch: Batch, prediction: Tensor, alphas: Tensor) -> Tensor:
        config = self.config
        target = losses.prediction_target(batch.latents, batch.noise, alphas, self.prediction_type)
        weights = losses.min_snr_weights(alphas, config.min_snr_gamma, self.prediction_type)
        weight_map = None
        if config.face_weight:
            shape = batch.latents.shape[2:]
            weight_map = losses.face_weight_map(
                batch.boxes, shape, LATENT_SCALE, config.face_weight
            )
        return losses.denoising(prediction, target, weights, weight_map)

    def _face_losses(
        self,
        batch: Batch,
        noisy: Tensor,
        prediction: Tensor,
        alphas: Tensor,
        gather: Callable[[Tensor], Tensor],
    ) -> dict[str, Tensor]:
        """Return the losses on the faces of the decoded estimates of x₀."""
        assert self.frozen is not None
        config, count = self.config, batch.groups.numel()
        all_views, all_groups = batch.view_embeddings.flatten(0, 1), batch.groups.flatten()
        if config.matching:  # all processes take part, also those without an image to decode
            all_views, all_groups = gather(all_views), gather(all_groups)
        names = [n for n in ("identity", "detection", "matching") if getattr(config, n)]
        clear = (batch.timesteps <= config.decode_max_timestep).nonzero().flatten()
        if not len(clear):
            return {name: prediction.sum() * 0 for name in names}
        estimate = losses.estimate_x0(noisy, prediction, alphas, self.prediction_type)
        faces = self._decode_faces(batch, estimate, alphas, clear)
        values = {}
        if config.detection:
            candidates = self.frozen.detect_faces(faces.images)
            scores, boxes, keypoints = (x[faces.image_of] for x in candidates[:3])
            candidates = Candidates(scores, boxes, keypoints, candidates.centres)
            values["detection"] = losses.detection(candidates, faces.boxes, faces.alphas, count)
        if config.identity or config.matching:
            embeddings = self.frozen.embed_faces(
                faces.images[faces.image_of], list(faces.keypoints.double().cpu().numpy())
            )
            if config.identity:
                own = batch.own_embeddings[clear].flatten(0, 1)
                values["identity"] = losses.identity(embeddings, own, faces.alphas, count)
            if config.matching:
                values["matching"] = losses.matching(
                    embeddings,
                    batch.view_embeddings[clear].flatten(0, 1),
                    batch.groups[clear].flatten(),
                    all_views,
                    all_groups,
                    config.matching_temperature,
                    faces.alphas,
                    count,
                )
        return values

    def _decode_faces(
        self, batch: Batch, estimate: Tensor, alphas: Tensor, clear: Tensor
    ) -> DecodedFaces:
        """Decode the estimates of the images `clear`, whole or a window around each face."""
        assert self.frozen is not None
        estimate, people = estimate[clear], batch.groups.shape[1]
        keypoints = batch.keypoints[clear].flatten(0, 1)  # (N, 5, 2)
        boxes = batch.boxes[clear].flatten(0, 1)
        alphas = alphas[clear].repeat_interleave(people)  # (N)
        image_of = torch.arange(len(clear), device=alphas.device).repeat_interleave(people)
        if self.config.decode_window:
            estimate, corners = cut_windows(
                estimate[image_of], keypoints, self.config.decode_window
            )
            keypoints, boxes = keypoints - corners[:, None], boxes - corners.repeat(1, 2)
            image_of = torch.arange(len(image_of), device=alphas.device)
        return DecodedFaces(self.frozen.decode(estimate), image_of, keypoints, boxes, alphas)


def make_condition(batch: Batch) -> Condition:
    """Return the networks' inputs: the references in both paths, without what was dropped."""
    return Condition(
        batch.text,
        batch.pooled,
        batch.time_ids,
        batch.base,
        batch.points,
        batch.reference_embeddings * batch.token_keep[:, None, None],
        batch.reference_embeddings,
        batch.patch_keep,
        (batch.keypoints[:, :, 1] - batch.keypoints[:, :, 0]).norm(dim=-1),
    )


def cut_windows(latents: Tensor, keypoints: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Cut a square of `side` latent pixels around each face out of its latents (N, C, h, w).

    `keypoints` (N, 5, 2) in image pixels. Returns the squares, shifted to lie inside the latents,
    and their top left corners (N, 2) in image pixels. Decoding them costs less than the image.
    """
    height, width = latents.shape[2:]
    tall, wide = min(side, height), min(side, width)
    centres = keypoints.mean(dim=1) / LATENT_SCALE  # (N, 2)
    corners = (centres - centres.new_tensor([wide, tall]) / 2).round()
    corners = torch.minimum(corners.clamp(min=0), centres.new_tensor([width - wide, height - tall]))
    windows = [
        x[:, top : top + tall, left : left + wide]
        for x, (left, top) in zip(latents, corners.long().tolist(), strict=True)
    ]
    return torch.stack(windows), corners * LATENT_SCALE
