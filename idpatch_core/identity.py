"""A person: a name, a face feature and the crop it was taken from."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

FORMAT, VERSION = "idpatch-identities", "1"
CROP_SHAPE = (112, 112, 3)
# Below this length the mean of unit embeddings points nowhere: they cancel each other out.
SHORTEST_MEAN = 0.01


class Identity(NamedTuple):
    """One person.

    `embedding` is the face feature, (512,) float32 of unit length; `crop` the aligned face,
    (112, 112, 3) uint8 RGB, or None for an identity loaded from a file without pictures;
    `token_strength` scales the ID tokens, 1 is as trained.
    """

    name: str
    embedding: Tensor
    crop: Tensor | None = None
    token_strength: float = 1.0


def average(
    name: str, identities: Sequence[Identity], weights: Sequence[float] | None = None
) -> Identity:
    """Make one person of several photographs of them.

    The embedding is the weighted mean of theirs, of unit length again; the crop is that of the
    photograph nearest to it. Weights are at least 0, equal by default. Raises ValueError if there
    is no photograph, the weights do not fit, or the embeddings cancel each other out.
    """
    if not identities:
        raise ValueError(f"{name}: there is no photograph to average.")
    if weights is None:
        weights = [1.0] * len(identities)
    if len(weights) != len(identities):
        raise ValueError(
            f"weights: got {len(weights)} for {len(identities)} photographs of {name}. "
            "Give one for each, or none at all."
        )
    if not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) == 0:
        shown = ", ".join(f"{w:g}" for w in weights)
        raise ValueError(
            f"weights: expected numbers from 0 up, one of them above 0, got {shown} for {name}."
        )
    counted = [identity for identity, weight in zip(identities, weights, strict=True) if weight]
    if len(counted) == 1:  # to the last bit, which normalising again would change
        return counted[0]._replace(name=name)
    embeddings = torch.stack([identity.embedding for identity in identities])  # (N, 512)
    shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    mean = (shares[:, None] * embeddings.double()).sum(0)
    if mean.norm() < SHORTEST_MEAN:
        raise ValueError(
            f"{name}: the embeddings of the photographs cancel each other out. They cannot all "
            "show the same person; encode them apart."
        )
    mean = F.normalize(mean, dim=0).float()
    similarities = torch.where(shares > 0, embeddings @ mean, -2.0)
    return Identity(name, mean, identities[int(similarities.argmax())].crop)


def append(identities: Sequence[Identity], more: Sequence[Identity]) -> list[Identity]:
    """Return the people of both, in order; a name that is taken gets a number: "Anna 2"."""
    return with_unique_names([*identities, *more])


def with_unique_names(identities: Sequence[Identity]) -> list[Identity]:
    """Number the names that come again: the second "Anna" becomes "Anna 2"."""
    given = {identity.name for identity in identities}
    taken: set[str] = set()
    people = []
    for identity in identities:
        name, number = identity.name, 1
        while name in taken or (number > 1 and name in given):
            number += 1
            name = f"{identity.name} {number}"
        taken.add(name)
        people.append(identity._replace(name=name))
    return people


def rename(identities: Sequence[Identity], names: Sequence[str]) -> list[Identity]:
    """Give everybody a new name, in order. Raises ValueError unless there is one for each."""
    if len(names) != len(identities):
        raise ValueError(
            f"name: got {len(names)} names ({', '.join(names)}) for {len(identities)} people. "
            "Give one for each, separated by commas, or none at all."
        )
    renamed = [i._replace(name=name) for i, name in zip(identities, names, strict=True)]
    return with_unique_names(renamed)


def similarity(a: Identity, b: Identity) -> float:
    """Return the cosine of two people's embeddings, 1 for the same photograph."""
    return float(a.embedding @ b.embedding)


def save_identities(path: str | Path, identities: Sequence[Identity]) -> None:
    """Write people to a .safetensors file: names, embeddings (F, 512) and crops.

    The metadata say `format`, `version` and the `names` as JSON; the crop of person i is `crop.i`.
    Raises ValueError if there is nobody.
    """
    if not identities:
        raise ValueError("identities: there is nobody to save. Encode at least one person.")
    tensors = {"embeddings": torch.stack([person.embedding for person in identities]).float()}
    for index, person in enumerate(identities):
        if person.crop is not None:
            tensors[f"crop.{index}"] = person.crop.contiguous()
    names = json.dumps([person.name for person in identities], ensure_ascii=False)
    save_file(tensors, path, {"format": FORMAT, "version": VERSION, "names": names})


def load_identities(path: str | Path) -> list[Identity]:
    """Read people from a file of `save_identities`.

    Raises ValueError if the file is none, is cut off, is of a newer version or is not consistent.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"identities: there is no file {path}.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(
                    f"identities: {path.name} holds no people. Expected a file of Save Identities."
                )
            if metadata.get("version") != VERSION:
                raise ValueError(
                    f"identities: {path.name} is of version {metadata.get('version')}, expected "
                    f"{VERSION}. Update this node pack, or save the people again."
                )
            # Copies, because the file may be replaced while they are in use.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"identities: {path.name} is cut off or no .safetensors file ({error}). "
            "Save the people again."
        ) from None
    return _people(path, metadata.get("names", ""), tensors)


def _people(path: Path, names_json: str, tensors: dict[str, Tensor]) -> list[Identity]:
    damaged = f"identities: {path.name} is damaged: {{}}. Save the people again."
    try:
        names = json.loads(names_json)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(damaged.format("its names cannot be read"))
    embeddings = tensors.get("embeddings")
    if embeddings is None or embeddings.ndim != 2 or len(embeddings) != len(names):
        shape = "no" if embeddings is None else list(embeddings.shape)
        raise ValueError(damaged.format(f"it has {shape} embeddings for {len(names)} names"))
    lengths = embeddings.float().norm(dim=1)
    if not ((lengths - 1).abs() < 1e-3).all():  # also where one is not finite
        raise ValueError(damaged.format("its embeddings are not of unit length"))
    people = []
    for index, name in enumerate(names):
        crop = tensors.get(f"crop.{index}")
        if crop is not None and (crop.dtype != torch.uint8 or crop.shape != CROP_SHAPE):
            raise ValueError(damaged.format(f"the crop of {name} is {list(crop.shape)}"))
        people.append(Identity(name, embeddings[index].float(), crop))
    return people
