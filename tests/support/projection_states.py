"""State dicts of projections: small random ones, and the names and shapes of the release."""

import torch
from torch import Tensor

from idpatch_core.projection import MLPProjection, Resampler

Shapes = dict[str, tuple[int, ...]]
EMBEDDING_DIM = 24


def small_resampler(
    queries: int, output: int, embedding_dim: int = EMBEDDING_DIM
) -> dict[str, Tensor]:
    """A Resampler of one layer and two heads with seeded weights."""
    with torch.random.fork_rng():
        torch.manual_seed(queries)
        network = Resampler(embedding_dim, queries, output, width=32, depth=1, heads=2)
    return dict(network.requires_grad_(False).state_dict())


def small_mlp(queries: int, output: int, embedding_dim: int = EMBEDDING_DIM) -> dict[str, Tensor]:
    """An MLP projection with seeded weights."""
    with torch.random.fork_rng():
        torch.manual_seed(queries)
        network = MLPProjection(embedding_dim, queries, output)
    return dict(network.requires_grad_(False).state_dict())


def small_projections() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A patch projection to 8x8 pixels and a token projection to 4 tokens 16 wide."""
    return small_resampler(3, 64), small_resampler(4, 16)


def released_shapes(queries: int, output: int) -> Shapes:
    """Names and shapes of a released projection: 3 and 4096, or 16 and 2048."""
    shapes: Shapes = {
        "latents": (1, queries, 1280),
        "proj_in.weight": (1280, 512),
        "proj_in.bias": (1280,),
        "proj_out.weight": (output, 1280),
        "proj_out.bias": (output,),
        "norm_out.weight": (output,),
        "norm_out.bias": (output,),
    }
    for layer in range(4):
        shapes |= {
            f"layers.{layer}.0.norm1.weight": (1280,),
            f"layers.{layer}.0.norm1.bias": (1280,),
            f"layers.{layer}.0.norm2.weight": (1280,),
            f"layers.{layer}.0.norm2.bias": (1280,),
            f"layers.{layer}.0.to_q.weight": (1280, 1280),
            f"layers.{layer}.0.to_kv.weight": (2560, 1280),
            f"layers.{layer}.0.to_out.weight": (1280, 1280),
            f"layers.{layer}.1.0.weight": (1280,),
            f"layers.{layer}.1.0.bias": (1280,),
            f"layers.{layer}.1.1.weight": (5120, 1280),
            f"layers.{layer}.1.3.weight": (1280, 5120),
        }
    return shapes
