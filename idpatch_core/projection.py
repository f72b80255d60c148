"""Projects a face feature to an ID patch and to ID tokens.

Both networks are those of IP-Adapter (Ye et al., arXiv 2308.06721) in its own key names: the
Resampler of IP-Adapter-Plus, which the release uses, and the MLP of IP-Adapter-FaceID.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .identity import Identity

HEAD_WIDTH = 64
PATCH_CHANNELS = 3


class IDPatches(NamedTuple):
    """What the networks are shown of F people, in their order, in float32 on the CPU.

    `patches` (F, 3, 64, 64); `tokens` (F, T, 2048) with T tokens a person (16 in the release);
    `zero_tokens` (F, T, 2048): the projection of a zero vector, for the negative branch; `people`
    are the F people themselves, for messages, previews and the strength of their tokens.
    `location` gives the tags (F, 1, 2048) of the tokens for points (F, 2), in models that have it;
    `face_sized` models want each patch as large as the face, see `canvas.face_side`.
    """

    patches: Tensor
    tokens: Tensor
    zero_tokens: Tensor
    people: tuple[Identity, ...]
    location: Callable[[Tensor], Tensor] | None = None
    face_sized: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(person.name for person in self.people)


class ProjectionSize(NamedTuple):
    """The sizes of a projection of one face feature to `queries` vectors."""

    embedding_dim: int
    queries: int
    output: int


class Location(nn.Module):
    """Tags ID tokens with whose they are and where that person stands.

    The paper's summary has such a tag; the released file has none, and then nothing is added.
    """

    def __init__(self, people: int, output: int, operations: Any = nn):
        super().__init__()
        self.index = operations.Embedding(people, output)
        self.point = operations.Linear(4 * len(WAVES), output)

    def forward(self, points: Tensor) -> Tensor:
        """Return tags (..., F, 1, output) for points (..., F, 2) in shares of the picture.

        A person who is nowhere has NaN. Raises ValueError for more people than were trained.
        """
        people = points.shape[-2]
        if people > self.index.num_embeddings:
            raise ValueError(
                f"id_patches: {people} people, but this ID-Patch model tags the tokens of at most "
                f"{self.index.num_embeddings}. Take fewer people or another model."
            )
        placed = points.isfinite().all(-1, keepdim=True)
        angles = torch.pi * points.nan_to_num().unsqueeze(-1) * points.new_tensor(WAVES)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)  # (..., F, 4 * W)
        where = self.point(waves) * placed
        who = self.index(torch.arange(people, device=points.device))
        return (who.to(where) + where).unsqueeze(-2)


WAVES = (1.0, 2.0, 4.0, 8.0)  # of a point's features, in half periods a picture


class Attention(nn.Module):
    """The latents look at the face feature and at themselves."""

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
    """Build the network that a state dict was saved from, holding the state's own tensors.

    The architecture and every size are read from the tensors; their dtype and storage are kept.
    `operations` is a namespace with torch.nn's layers. Raises ValueError if the tensors are those
    of neither network, or if one is missing, unknown or of the wrong shape.
    """
    with torch.device("meta"):
        # ComfyUI's own layers may have no weights before they are loaded: torch.nn's always do.
        expected = _empty_projection(state, nn).state_dict()
        network = _empty_projection(state, operations)
    if missing := expected.keys() - state.keys():
        raise ValueError(f"it lacks {_some(missing)}")
    if unknown := state.keys() - expected.keys():
        raise ValueError(f"it has tensors that this version does not know: {_some(unknown)}")
    for name, tensor in expected.items():
        shape, given = tuple(tensor.shape), tuple(state[name].shape)
        if given != shape:
            raise ValueError(f"{name} has the shape {given}, expected {shape}")
    network.load_state_dict(state, assign=True)
    return network


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
            raise ValueError(f"layers.0.0.to_q.weight is not made of heads {HEAD_WIDTH} wide")
        return Resampler(
            _shape(state, "proj_in.weight", 2)[1],
            queries,
            _shape(state, "proj_out.weight", 2)[0],
            width=width,
            depth=len({name.split(".")[1] for name in state if name.startswith("layers.")}),
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


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def patch_side(size: ProjectionSize) -> int:
    """Return the patch's width and height in pixels; 64 in the release.

    Raises ValueError unless the projection gives the three channels of a square.
    """
    side = math.isqrt(size.output)
    if size.queries != PATCH_CHANNELS or side * side != size.output:
        raise ValueError(
            f"it gives {size.queries} x {size.output} values, "
            f"which is not a square patch of {PATCH_CHANNELS} channels"
        )
    return side


def project(
    patch_proj: Callable[[Tensor], Tensor],
    prompt_proj: Callable[[Tensor], Tensor],
    embeddings: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Project the face features of all people in one call of each network.

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


def at_places(
    id_patches: IDPatches, points: Sequence[tuple[float, float] | None], width: int, height: int
) -> IDPatches:
    """Tag everybody's ID tokens and zero-vector tokens with their places, if the model does.

    `points` in pixels of a picture of the given size, None for a person who is nowhere.
    """
    if id_patches.location is None:
        return id_patches
    nowhere = (math.nan, math.nan)
    places = torch.tensor([nowhere if point is None else tuple(point) for point in points])
    tags = id_patches.location(places / torch.tensor([width, height]))  # (F, 1, C)
    return id_patches._replace(
        tokens=id_patches.tokens + tags, zero_tokens=id_patches.zero_tokens + tags
    )
