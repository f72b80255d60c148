"""The training objective: the weighted sum of the config's losses on a batch."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..canvas import LATENT_SCALE
from . import losses
from .config import LOSSES, LossConfig
from .data import TIMESTEPS, Batch
from .face_windows import DecodedFaces, decode_faces, select_estimates
from .frozen_networks import FrozenNetworks
from .networks import Condition
from .torch_yunet import Candidates


class Objective(NamedTuple):
    """The losses with their weights, the noise schedule ᾱ (1000), and the frozen networks.

    `injection_ratio` is that of `make_condition`.
    """

    config: LossConfig
    alphas: Tensor
    prediction_type: str
    frozen: FrozenNetworks | None = None
    injection_ratio: float = 1.0

    def __call__(
        self,
        networks: nn.Module,
        batch: Batch,
        gather: Callable[[Tensor], Tensor] = lambda x: x,
        token_gradient: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum, and each value by name, unweighted and detached.

        `gather` concatenates constants of all processes, for the matching loss; `token_gradient`
        is that of `Networks.forward`.
        """
        alphas = self.alphas[batch.timesteps]  # (B)
        noisy = losses.add_noise(batch.latents, batch.noise, alphas)
        condition = make_condition(batch, self.injection_ratio)
        prediction = networks(noisy, batch.timesteps, condition, token_gradient=token_gradient)
        values: dict[str, Tensor] = {}
        if self.config.denoising:
            values["denoising"] = self._denoising(batch, prediction, alphas)
        if self.config.identity or self.config.detection or self.config.matching:
            values |= self._face_losses(batch, noisy, prediction.float(), alphas, gather)
        weighted = (
            getattr(self.config, name) * value for name, value in values.items() if name in LOSSES
        )
        total = sum(weighted, noisy.sum() * 0)
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
        """Return the losses on the faces of the decoded estimates of x₀.

        With a limit on the memory, `decoded_share` is the share of the faces that were decoded.
        """
        assert self.frozen is not None
        config, people = self.config, batch.groups.shape[1]
        all_views, all_groups = batch.view_embeddings.flatten(0, 1), batch.groups.flatten()
        if config.matching:  # all processes take part, also those without an image to decode
            all_views, all_groups = gather(all_views), gather(all_groups)
        names = [n for n in ("detection", "identity", "matching") if getattr(config, n)]
        values = {name: prediction.sum() * 0 for name in names}
        clear = (batch.timesteps <= config.decode_max_timestep).nonzero().flatten()
        estimate = losses.estimate_x0(noisy, prediction, alphas, self.prediction_type)
        groups = []
        if len(clear):
            estimates = select_estimates(batch, estimate, clear)
            groups = list(decode_faces(self.frozen, estimates, config))
        share = 1.0
        if len(clear):
            share = sum(len(group.faces) for group in groups) / (len(clear) * people)
        if config.decode_memory:
            values["decoded_share"] = torch.tensor(share, device=noisy.device)
        if not groups:
            return values
        count = batch.groups.numel() * (share if share < 1 else 1)
        faces = torch.cat([group.faces for group in groups])
        face_alphas = alphas[clear].repeat_interleave(people)
        if config.detection:
            parts = [self._detection(g, face_alphas[g.faces], count) for g in groups]
            values["detection"] = torch.stack(parts).sum()
        if config.identity or config.matching:
            embeddings = torch.cat([self._embed(group) for group in groups])
            if config.identity:
                own = batch.own_embeddings[clear].flatten(0, 1)[faces]
                values["identity"] = losses.identity(embeddings, own, face_alphas[faces], count)
            if config.matching:
                values["matching"] = losses.matching(
                    embeddings,
                    batch.view_embeddings[clear].flatten(0, 1)[faces],
                    batch.groups[clear].flatten()[faces],
                    all_views,
                    all_groups,
                    config.matching_temperature,
                    face_alphas[faces],
                    count,
                )
        return values

    def _detection(self, decoded: DecodedFaces, alphas: Tensor, count: float) -> Tensor:
        assert self.frozen is not None
        candidates = self.frozen.detect_faces(decoded.images)
        scores, boxes, keypoints = (x[decoded.image_of] for x in candidates[:3])
        candidates = Candidates(scores, boxes, keypoints, candidates.centres)
        return losses.detection(candidates, decoded.boxes, alphas, count)

    def _embed(self, decoded: DecodedFaces) -> Tensor:
        assert self.frozen is not None
        keypoints = list(decoded.keypoints.double().cpu().numpy())
        return self.frozen.embed_faces(decoded.images[decoded.image_of], keypoints)


def make_condition(batch: Batch, injection_ratio: float = 1.0) -> Condition:
    """Return the networks' inputs: the references in both paths, without what was dropped.

    Timesteps above the ratio get no ID tokens, as in `first_injection_step` at inference.
    """
    inject = None
    if injection_ratio < 1:
        inject = (batch.timesteps <= injection_ratio * TIMESTEPS).to(batch.text.dtype)
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
        inject,
    )
