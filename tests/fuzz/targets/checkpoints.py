"""Files of weights: ID-Patch models and face recognition networks, in both formats."""

import io
from pathlib import Path
from random import Random

import torch
from projection_states import small_mlp
from safetensors.torch import save
from torch import Tensor

from idpatch_core.arcface import IRSE50, load_arcface
from idpatch_core.checkpoint import read_id_patch
from idpatch_core.location import Location, build_location
from idpatch_core.projection import MLPProjection, Projection, Resampler, build_projection, project

from ..mutations import Mutate, mutate_safetensors, mutate_zip
from ..target import Target

DIM = 4  # of the embeddings
MOST_DRAWN = 30_000  # values of a drawn model


def read_weights(data: bytes, folder: Path) -> None:
    """Read an ID-Patch model and project a person, or a network that recognises faces."""
    path = folder / ("model.bin" if data[:1] in (b"P", b"\x80") else "model.safetensors")
    path.write_bytes(data)
    try:
        *states, _ = read_id_patch(path)
    except ValueError:
        load_arcface(path)
        return
    patch_proj, prompt_proj = map(build_projection, states)
    location = build_location(states[1])
    embeddings = torch.nn.functional.normalize(torch.ones(1, patch_proj.size.embedding_dim), dim=1)
    with torch.no_grad():
        project(patch_proj.float(), prompt_proj.float(), embeddings)
        if location is not None:
            location(torch.zeros(1, 2))


def make_seeds() -> list[bytes]:
    resampler = Resampler(DIM, 2, 3, width=2, depth=1, heads=1).requires_grad_(False)
    tagged = {**resampler.state_dict(), **_prefix("location", Location(2, 3).state_dict())}
    narrow = {name: tensor.half() for name, tensor in small_mlp(2, 3, DIM).items()}
    square = Resampler(DIM, 3, 4, width=2, depth=1, heads=1).requires_grad_(False)
    pairs = [(small_mlp(3, 4, DIM), narrow), (dict(square.state_dict()), tagged)]
    seeds = []
    # Many short latents and a wide output: few weights for many values.
    pairs.append((pairs[0][0], Resampler(DIM, 2000, 2000, width=1, depth=1, heads=1).state_dict()))
    for patch, prompt in pairs:
        content = {"patch_proj": patch, "prompt_proj": prompt}
        seeds.append(save({**_prefix("patch_proj", patch), **_prefix("prompt_proj", prompt)}))
        seeds += [_save_torch(content, zipped) for zipped in (True, False)]
    with torch.random.fork_rng():
        faces = IRSE50([(1, 1)], 2).half().requires_grad_(False).state_dict()
    return [*seeds, save(dict(faces)), _save_torch(dict(faces), True)]


def _prefix(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{key}": tensor.contiguous() for key, tensor in state.items()}


def _save_torch(content: object, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def mutate(data: bytes, random: Random, mutate_bytes: Mutate) -> bytes | None:
    """Return a mutated file, or a whole model of other sizes, which mutations seldom reach."""
    if random.random() < 0.1:
        return draw_model(random)
    change = mutate_zip if data.startswith(b"PK") else mutate_safetensors
    return change(data, random, mutate_bytes)


def draw_model(random: Random) -> bytes:
    """Return a model of small sizes, of which one or two may be large."""

    def draw() -> int:
        return random.choice((1, 1, 2, 3, 4, 4, 9, random.randrange(1, 4000)))

    def draw_projection(queries: int, output: int, dim: int) -> Projection:
        with torch.device("meta"):
            if random.random() < 0.5:
                return MLPProjection(dim, queries, output, hidden=draw())
            return Resampler(dim, queries, output, width=draw(), depth=1, heads=1, hidden=draw())

    dim = draw()
    patch = draw_projection(3, random.choice((1, 4, 9, 1024, 4096)), dim).state_dict()
    output = draw()
    prompt = draw_projection(draw(), output, dim).state_dict()
    if random.random() < 0.3:
        with torch.device("meta"):
            prompt |= _prefix("location", Location(draw(), output).state_dict())
    dtype = random.choice((torch.float16, torch.bfloat16, torch.float32))
    tensors = {**_prefix("patch_proj", patch), **_prefix("prompt_proj", prompt)}
    if sum(tensor.numel() for tensor in tensors.values()) > MOST_DRAWN:
        return make_seeds()[0]
    return save({name: torch.ones(t.shape, dtype=dtype) for name, t in tensors.items()})


TARGET = Target(read_weights, make_seeds, mutate)
