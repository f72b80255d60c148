"""Projects an embedding to an ID patch and to ID tokens.

Both networks are those of IP-Adapter (Ye et al., arXiv 2308.06721), with its key names: the
Resampler of IP-Adapter-Plus, which the release uses, and the MLP of IP-Adapter-FaceID.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .identity import Identity
from .location import Location
from .weights import check_tensors

HEAD_WIDTH = 64
PATCH_CHANNELS = 3
MAX_DEPTH = 64  # layers of a file
MAX_VALUES = 1 << 20  # of one layer's output for a person; 81,920 in the release


class IDPatches(NamedTuple):
    """The ID patches and ID tokens of F people, in order, in float32 on the CPU.

    `patches` (F, 3, 64, 64); `tokens` (F, T, 2048) with T tokens a person (16 in the release);
    `zero_tokens` (F, T, 2048): the projection of a zero vector, for the negative branch; `people`
    are the identities that were projected. `location` gives the tags (F, 1, 2048) of the tokens for
    points (F, 2), in models that have it; `face_sized` models expect each patch to be as large as
    the face, see `canvas.face_side`.
    """

    patches: Tensor
    tokens: Tensor
    zero_tokens: Tensor
    people: tuple[Identity, ...]
    location: Location | None = None
    face_sized: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(person.name for person in self.people)

    @property
    def phrases(self) -> tuple[str, ...]:
        return tuple(person.phrase for person in self.people)


class ProjectionSize(NamedTuple):
    """The sizes of a projection of one embedding to `queries` vectors."""

    embedding_dim: int
    queries: int
    output: int


class Attention(nn.Module):
    """The latents attend to the embedding and to themselves."""

    def __init__(self, width: int, heads: int, operations: Any = nn):
        super().__init__()
        self.heads = heads
        inner = heads * HEAD_WIDTH
        self.norm1 = operations.LayerNorm(width)
        self.norm2 = operations.LayerNorm(width)
        self.to_q = operations.Linear(width, inner, bias=False)
        self.to_kv = operations.Linear(width, inner * 2, bias=False)
        self.to_out = operations.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        x, latents = self.norm1(x), self.norm2(latents)  # (F, 1, D), (F, Q, D)
        q = self.to_q(latents)
        k, v = self.to_kv(torch.cat([x, latents], dim=1)).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, HEAD_WIDTH)).transpose(1, 2) for t in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v)  # (F, heads, Q, 64)
        return self.to_out(out.transpose(1, 2).flatten(2))


class Resampler(nn.Module):
    """The perceiver of IP-Adapter-Plus: (F, 1, embedding_dim) to (F, queries, output)."""

    def __init__(
        self,
        embedding_dim: int = 512,
        queries: int = 16,
        output: int = 2048,
        *,
        width: int = 1280,
        depth: int = 4,
        heads: int = 20,
        hidden: int | None = None,
        operations: Any = nn,
    ):
        super().__init__()
        hidden = hidden or width * 4
        self.size = ProjectionSize(embedding_dim, queries, output)
        self.location: Location | None = None
        self.latents = nn.Parameter(torch.randn(1, queries, width) / width**0.5)
        self.proj_in = operations.Linear(embedding_dim, width)
        self.proj_out = operations.Linear(width, output)
        self.norm_out = operations.LayerNorm(output)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    Attention(width, heads, operations),
                    nn.Sequential(
                        operations.LayerNorm(width),
                        operations.Linear(width, hidden, bias=False),
                        nn.GELU(),
                        operations.Linear(hidden, width, bias=False),
                    ),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        x = self.proj_in(embeddings)  # (F, 1, D)
        # `operations` moves and casts the layers' weights, but not this one.
        latents = self.latents.to(x).expand(len(x), -1, -1)  # (F, Q, D)
        for attention, feed_forward in self.layers:  # pyright: ignore[reportGeneralTypeIssues]
            latents = attention(x, latents) + latents
            latents = feed_forward(latents) + latents
        return self.norm_out(self.proj_out(latents))


class MLPProjection(nn.Module):
    """The two layers of IP-Adapter-FaceID: (F, 1, embedding_dim) to (F, queries, output)."""

    def __init__(
        self,
        embedding_dim: int = 512,
        queries: int = 16,
        output: int = 2048,
        *,
        hidden: int | None = None,
        operations: Any = nn,
    ):
        super().__init__()
        hidden = hidden or embedding_dim * 2
        self.size = ProjectionSize(embedding_dim, queries, output)
        self.location: Location | None = None
        self.proj = nn.Sequential(
            operations.Linear(embedding_dim, hidden),
            nn.GELU(),
            operations.Linear(hidden, queries * output),
        )
        self.norm = operations.LayerNorm(output)

    def forward(self, embeddings: Tensor) -> Tensor:
        x = self.proj(embeddings)  # (F, 1, queries * output)
        return self.norm(x.reshape(-1, self.size.queries, self.size.output))


Projection = Resampler | MLPProjection


def build_projection(state: Mapping[str, Tensor], operations: Any = nn) -> Projection:
    """Build the network that a state dict was saved from, with the state's own tensors.

    The architecture and all sizes are read from the tensors, which keep their dtype and storage.
    `operations` is a namespace with torch.nn's layers. Raises ValueError if the tensors belong to
    neither network, or if one is missing, unknown or of the wrong shape.
    """
    with torch.device("meta"):
        # From torch.nn, because ComfyUI's layers may have no weights before they are loaded.
        expected = _empty_projection(state, nn).state_dict()
        network = _empty_projection(state, operations)
    check_tensors(state, expected)
    _check_cost(state)
    network.load_state_dict(state, assign=True)
    return network


def _check_cost(state: Mapping[str, Tensor]) -> None:
    """Refuse a Resampler that computes far more values than its file holds weights."""
    if "latents" not in state:
        return
    _, queries, width = state["latents"].shape
    rows = ("layers.0.0.to_kv.weight", "layers.0.1.1.weight", "proj_out.weight")
    widest = max(width, *(len(state[name]) for name in rows if name in state))
    if queries * widest > MAX_VALUES:
        raise ValueError(
            f"it computes {queries} x {widest} values for each person, expected at most "
            f"{MAX_VALUES} in all"
        )


def _empty_projection(state: Mapping[str, Tensor], operations: Any) -> Projection:
    network = _empty_layers(state, operations)
    if "location.index.weight" in state:
        people, _ = _shape(state, "location.index.weight", 2)
        network.location = Location(people, network.size.output, operations)
    return network


def _empty_layers(state: Mapping[str, Tensor], operations: Any) -> Projection:
    if "latents" in state:
        _, queries, width = _shape(state, "latents", 3)
        heads, rest = divmod(_shape(state, "layers.0.0.to_q.weight", 2)[0], HEAD_WIDTH)
        if rest or not heads:
            raise ValueError(
                f"layers.0.0.to_q.weight is not a multiple of the head width {HEAD_WIDTH}"
            )
        depth = len({name.split(".")[1] for name in state if name.startswith("layers.")})
        if depth > MAX_DEPTH:
            raise ValueError(f"it has {depth} layers, expected at most {MAX_DEPTH}")
        return Resampler(
            _shape(state, "proj_in.weight", 2)[1],
            queries,
            _shape(state, "proj_out.weight", 2)[0],
            width=width,
            depth=depth,
            heads=heads,
            hidden=_shape(state, "layers.0.1.1.weight", 2)[0],
            operations=operations,
        )
    if "proj.0.weight" in state:
        hidden, embedding_dim = _shape(state, "proj.0.weight", 2)
        (output,) = _shape(state, "norm.weight", 1)
        queries = _shape(state, "proj.2.weight", 2)[0] // output
        return MLPProjection(embedding_dim, queries, output, hidden=hidden, operations=operations)
    raise ValueError(
        "it is neither a Resampler (latents, proj_in, layers, …) nor an MLP (proj.0, proj.2, norm)"
    )


def _shape(state: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in state:
        raise ValueError(f"it lacks {name}")
    shape = tuple(state[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise ValueError(f"{name} has the shape {shape}, expected {dimensions} dimensions")
    return shape


def patch_side(size: ProjectionSize) -> int:
    """Return the patch's width and height in pixels; 64 in the release.

    Raises ValueError unless its output is a square of three channels.
    """
    side = math.isqrt(size.output)
    if size.queries != PATCH_CHANNELS or side * side != size.output:
        raise ValueError(
            f"its output is {size.queries} x {size.output} values, "
            f"expected a square patch of {PATCH_CHANNELS} channels"
        )
    return side


def project(
    patch_proj: Callable[[Tensor], Tensor],
    prompt_proj: Callable[[Tensor], Tensor],
    embeddings: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Project the embeddings of all people in one call of each network.

    `embeddings` (F, 512) of unit length. Returns patches (F, 3, P, P), tokens (F, T, C) and
    zero-vector tokens (F, T, C). Source: `inferencer.py` and `pipeline_idpatch_sd_xl.py` of the
    reference; paper section 3.2.
    """
    x = embeddings.unsqueeze(1)  # (F, 1, 512)
    patches = patch_proj(x)  # (F, 3, P * P)
    side = math.isqrt(patches.shape[-1])
    tokens = prompt_proj(torch.cat([x, torch.zeros_like(x[:1])]))  # (F + 1, T, C)
    tokens, zero_tokens = tokens[:-1], tokens[-1:]
    return patches.unflatten(-1, (side, side)), tokens, zero_tokens.repeat(len(tokens), 1, 1)


def tag_tokens(
    id_patches: IDPatches, points: Sequence[tuple[float, float] | None], width: int, height: int
) -> IDPatches:
    """Tag each person's ID tokens and zero-vector tokens with their point, if the model does so.

    `points` in pixels of an image of the given size, None for a person without a point.
    """
    if id_patches.location is None:
        return id_patches
    no_point = (math.nan, math.nan)
    pixels = torch.tensor([no_point if point is None else tuple(point) for point in points])
    tags = id_patches.location(pixels / torch.tensor([width, height]))  # (F, 1, C)
    return id_patches._replace(
        tokens=id_patches.tokens + tags, zero_tokens=id_patches.zero_tokens + tags
    )


def keep_placed(id_patches: IDPatches, points: Sequence[tuple[float, float] | None]) -> IDPatches:
    """Return the patches and tokens of the people who have a point, the same where all have."""
    placed = [person for person, point in enumerate(points) if point is not None]
    if len(placed) == len(id_patches.people):
        return id_patches
    return id_patches._replace(
        patches=id_patches.patches[placed],
        tokens=id_patches.tokens[placed],
        zero_tokens=id_patches.zero_tokens[placed],
        people=tuple(id_patches.people[person] for person in placed),
    )
