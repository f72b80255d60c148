"""What a batch costs: every loss of the config, weighted and summed."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..canvas import LATENT_SCALE
from . import losses
from .config import Losses
from .data import Batch
from .networks import Condition, FrozenNetworks
from .torch_yunet import Candidates


class Objective(NamedTuple):
    """The losses with their weights, the noise schedule ᾱ (1000), and the networks that judge."""

    weights: Losses
    alphas: Tensor
    kind: str  # what the UNet predicts
    judges: FrozenNetworks | None = None

    def __call__(
        self,
        networks: nn.Module,
        batch: Batch,
        gather: Callable[[Tensor], Tensor] = lambda x: x,
        token_gradient: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and each loss by name, unweighted.

        `gather` joins constants of all processes, for the matching loss; `token_gradient` is that
        of `Networks.forward`.
        """
        weights = self.weights
        alphas = self.alphas[batch.timesteps]  # (B)
        noisy = losses.add_noise(batch.latents, batch.noise, alphas)
        prediction = networks(
            noisy, batch.timesteps, condition(batch), token_gradient=token_gradient
        )
        parts: dict[str, Tensor] = {}
        if weights.denoising:
            wanted = losses.target(batch.latents, batch.noise, alphas, self.kind)
            snr = losses.min_snr_weights(alphas, weights.min_snr, self.kind)
            places = None
            if weights.face_weight:
                shape = noisy.shape[2:]
                places = losses.face_places(batch.boxes, shape, LATENT_SCALE, weights.face_weight)
            parts["denoising"] = losses.denoising(prediction, wanted, snr, places)
        if weights.identity or weights.detection or weights.matching:
            parts |= self._faces(batch, noisy, prediction.float(), alphas, gather)
        total = sum(
            (getattr(weights, name) * loss for name, loss in parts.items()), noisy.sum() * 0
        )
        return total, {name: loss.detach() for name, loss in parts.items()}

    def _faces(
        self,
        batch: Batch,
        noisy: Tensor,
        prediction: Tensor,
        alphas: Tensor,
        gather: Callable[[Tensor], Tensor],
    ) -> dict[str, Tensor]:
        """Return the losses that look at the faces of the decoded estimates of x₀."""
        assert self.judges is not None
        weights, count = self.weights, batch.groups.numel()
        everybody = batch.views.flatten(0, 1), batch.groups.flatten()
        if weights.matching:  # every process must take part, also one without a clear picture
            everybody = gather(everybody[0]), gather(everybody[1])
        clear = (batch.timesteps <= weights.highest_timestep).nonzero().flatten()
        names = [n for n in ("identity", "detection", "matching") if getattr(weights, n)]
        if not len(clear):
            return {name: prediction.sum() * 0 for name in names}
        estimate = losses.estimate_x0(noisy, prediction, alphas, self.kind)[clear]
        keypoints = batch.keypoints[clear].flatten(0, 1)  # (N, 5, 2)
        boxes = batch.boxes[clear].flatten(0, 1)
        people = batch.groups.shape[1]
        level = alphas[clear].repeat_interleave(people)  # (N)
        owner = torch.arange(len(clear), device=level.device).repeat_interleave(people)
        if weights.window:
            estimate, corner = windows(estimate[owner], keypoints, weights.window)
            keypoints, boxes = keypoints - corner[:, None], boxes - corner.repeat(1, 2)
            owner = torch.arange(len(owner), device=level.device)
        pictures = self.judges.decode(estimate)
        parts = {}
        if weights.detection:
            seen = self.judges.look(pictures)
            scores, found, points = (x[owner] for x in seen[:3])
            mine = Candidates(scores, found, points, seen.centres)
            parts["detection"] = losses.detection(mine, boxes, level, count)
        if weights.identity or weights.matching:
            features = self.judges.features(pictures[owner], list(keypoints.double().cpu().numpy()))
            if weights.identity:
                own = batch.faces[clear].flatten(0, 1)
                parts["identity"] = losses.identity(features, own, level, count)
            if weights.matching:
                views, groups = batch.views[clear].flatten(0, 1), batch.groups[clear].flatten()
                parts["matching"] = losses.matching(
                    features, views, groups, *everybody, weights.temperature, level, count
                )
        return parts


def condition(batch: Batch) -> Condition:
    """Return what the networks are shown: references in both paths, dropped as was drawn."""
    shown = batch.references * batch.token_keep[:, None, None]
    return Condition(
        batch.text,
        batch.pooled,
        batch.time_ids,
        batch.base,
        batch.points,
        shown,
        batch.references,
        batch.patch_keep,
        (batch.keypoints[:, :, 1] - batch.keypoints[:, :, 0]).norm(dim=-1),
    )


def windows(latents: Tensor, keypoints: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Cut a square of `side` cells around each face out of its latents (N, C, h, w).

    `keypoints` (N, 5, 2) in pixels. Returns the squares, moved into the picture where they leave
    it, and their top left corners (N, 2) in pixels. Decoding these costs less than the picture.
    """
    height, width = latents.shape[2:]
    tall, wide = min(side, height), min(side, width)
    centres = keypoints.mean(dim=1) / LATENT_SCALE  # (N, 2)
    corner = (centres - centres.new_tensor([wide, tall]) / 2).round()
    most = centres.new_tensor([width - wide, height - tall])
    corner = torch.minimum(corner.clamp(min=0), most)
    cut = [
        x[:, top : top + tall, left : left + wide]
        for x, (left, top) in zip(latents, corner.long().tolist(), strict=True)
    ]
    return torch.stack(cut), corner * LATENT_SCALE
