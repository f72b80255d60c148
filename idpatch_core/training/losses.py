"""The losses of training. Each returns one number, the mean over the batch.

Symbols: x₀ the image's latents, x_t = √ᾱ_t x₀ + √(1-ᾱ_t) ε the noisy ones, ᾱ_t the schedule's
signal share at timestep t.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .torch_yunet import Candidates

EPSILON, VELOCITY = "epsilon", "v_prediction"


def add_noise(x0: Tensor, noise: Tensor, alphas: Tensor) -> Tensor:
    """Return x_t = √ᾱ_t x₀ + √(1-ᾱ_t) ε for ᾱ_t (B). Source: Ho et al., arXiv 2006.11239, eq. 4."""
    alphas = alphas.view(-1, 1, 1, 1)
    return alphas.sqrt() * x0 + (1 - alphas).sqrt() * noise


def prediction_target(x0: Tensor, noise: Tensor, alphas: Tensor, prediction_type: str) -> Tensor:
    """Return what the UNet predicts: ε, or v = √ᾱ_t ε - √(1-ᾱ_t) x₀ (arXiv 2202.00512)."""
    if prediction_type == EPSILON:
        return noise
    alphas = alphas.view(-1, 1, 1, 1)
    return alphas.sqrt() * noise - (1 - alphas).sqrt() * x0


def estimate_x0(noisy: Tensor, prediction: Tensor, alphas: Tensor, prediction_type: str) -> Tensor:
    """Return x̂₀ = (x_t - √(1-ᾱ_t) ε̂) / √ᾱ_t, or √ᾱ_t x_t - √(1-ᾱ_t) v̂.

    Source: Ho et al., arXiv 2006.11239, eq. 15; Salimans and Ho, arXiv 2202.00512, appendix D.
    """
    alphas = alphas.view(-1, 1, 1, 1)
    if prediction_type == EPSILON:
        return (noisy - (1 - alphas).sqrt() * prediction) / alphas.sqrt()
    return alphas.sqrt() * noisy - (1 - alphas).sqrt() * prediction


def min_snr_weights(alphas: Tensor, gamma: float, prediction_type: str) -> Tensor:
    """Return min(SNR, gamma) / SNR for ε, / (SNR + 1) for v, with SNR = ᾱ_t / (1-ᾱ_t).

    With a gamma of 0 all noise levels weigh the same.
    Source: Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy",
    arXiv 2303.09556, section 3.4.
    """
    if not gamma:
        return torch.ones_like(alphas)
    snr = alphas / (1 - alphas)
    return snr.clamp(max=gamma) / (snr if prediction_type == EPSILON else snr + 1)


def denoising(
    prediction: Tensor, target: Tensor, weights: Tensor, weight_map: Tensor | None = None
) -> Tensor:
    """Return mean_b w_b mean_p m_p (ε̂ - ε)².

    `prediction`, `target` (B, C, H, W); `weights` (B), by noise level; `weight_map` (B, 1, H, W),
    by pixel, with mean 1. Source: Ho et al., arXiv 2006.11239, eq. 14.
    """
    squared = (prediction.float() - target.float()) ** 2
    if weight_map is not None:
        squared = squared * weight_map
    return (weights * squared.mean(dim=(1, 2, 3))).mean()


def face_weight_map(boxes: Tensor, shape: Sequence[int], scale: int, weight: float) -> Tensor:
    """Return (B, 1, H, W): 1 + `weight` in the latent pixels inside a face box, scaled to mean 1.

    `boxes` (B, F, 4) in image pixels; `shape` is (H, W) of the latents; `scale` is the number of
    image pixels along a latent pixel.
    """
    height, width = shape
    y = (torch.arange(height, device=boxes.device) + 0.5) * scale
    x = (torch.arange(width, device=boxes.device) + 0.5) * scale
    left, top, right, bottom = (side[..., None] for side in boxes.unbind(-1))  # (B, F, 1)
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)  # (B, F, H), (B, F, W)
    inside = (rows[..., :, None] & columns[..., None, :]).any(dim=1, keepdim=True)  # (B, 1, H, W)
    weight_map = 1 + weight * inside
    return weight_map / weight_map.mean(dim=(1, 2, 3), keepdim=True)


def identity(embeddings: Tensor, references: Tensor, weights: Tensor, count: float) -> Tensor:
    """Return Σ_i w_i (1 - cos(f(A(D(x̂₀))_i), r_i)) / count.

    `embeddings` (N, 512) of the faces A cut from the decoded estimate D(x̂₀), by the frozen face
    network f; `references` (N, 512), the embeddings r; `weights` (N) = ᾱ_t, since an estimate from
    noise shows no face; `count` is the number of faces in the batch, including those of images too
    noisy to decode.
    Source: face-identity loss of ID-Patch, arXiv 2411.13632; PortraitBooth, arXiv 2312.06354, also
    restricts it to late timesteps.
    """
    return (weights * (1 - F.cosine_similarity(embeddings, references, dim=-1))).sum() / count


def detection(candidates: Candidates, boxes: Tensor, weights: Tensor, count: float) -> Tensor:
    """Return -Σ_i w_i log max_a s_a IoU(b_a, b_i) / count: a face must be found in each box.

    `candidates` of N images, one for each face, with A candidates of score s and box b; `boxes`
    (N, 4), the expected ones. s = √(cls · obj) is YuNet's score. Source: face-detection loss of
    ID-Patch, arXiv 2411.13632; the product of score and overlap is our reading of a clean face.
    """
    matches = candidates.scores * overlap(candidates.boxes, boxes[:, None])  # (N, A)
    # The offset keeps a gradient where no candidate overlaps the box.
    return -(weights * (matches.amax(dim=1) + 1e-4).log()).sum() / count


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes (..., 4)."""
    size = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(0)
    both = size.prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).clamp(0).prod(-1) for box in (a, b))
    return both / (area_a + area_b - both).clamp(min=1e-6)


def matching(
    embeddings: Tensor,
    views: Tensor,
    groups: Tensor,
    all_views: Tensor,
    all_groups: Tensor,
    temperature: float,
    weights: Tensor,
    count: float,
) -> Tensor:
    """Return -Σ_i w_i log( e^(g_i·v_i/τ) / (e^(g_i·v_i/τ) + Σ_{j: other person} e^(g_i·v_j/τ)) ).

    Pose-invariant matching: the generated face g_i must be nearer to another view v_i of its
    person, in another pose, than to the views of the other people in the batches of all processes.
    `embeddings`, `views` (N, 512), `groups` (N); `all_views` (M, 512), `all_groups` (M); divided by
    `count`. Source: stage 2 of ID-Patch, arXiv 2411.13632; InfoNCE, arXiv 1807.03748, eq. 4.
    """
    embeddings, views, all_views = (F.normalize(x, dim=-1) for x in (embeddings, views, all_views))
    positive = (embeddings * views).sum(-1, keepdim=True) / temperature  # (N, 1)
    negative = embeddings @ all_views.T / temperature  # (N, M)
    negative = negative.masked_fill(groups[:, None] == all_groups[None], float("-inf"))
    logits = torch.cat([positive, negative], dim=1)
    return (weights * (logits.logsumexp(dim=1) - positive[:, 0])).sum() / count
