"""A person: a name, an embedding and the face crop that it was computed from."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .alignment import CROP_SIZE
from .describe import escape_surrogates
from .layout import count_people
from .safetensors_file import serialize_tensors
from .weights import WEIGHT_DTYPES, read_weights

FILE_FORMAT, FILE_VERSION = "idpatch-identities", "1"
MAX_TOKEN_STRENGTH = 10.0
CROP_SHAPE = (CROP_SIZE, CROP_SIZE, 3)
# Below this length the mean of unit embeddings has no direction: they cancel each other out.
SHORTEST_MEAN = 0.01


class Identity(NamedTuple):
    """One person.

    `embedding` (512,) is float32 of unit length; `crop` the aligned face, (112, 112, 3) uint8 RGB,
    or None for an identity loaded from a file without crops. `token_strength` scales the person's
    ID tokens: 1 as projected, 0 leaves the person out, more exaggerates. `phrase` describes
    clothes, hair or expression, for Describe People.
    """

    name: str
    embedding: Tensor
    crop: np.ndarray | None = None
    token_strength: float = 1.0
    phrase: str = ""


def check_not_empty(input_name: str, people: Sequence[object]) -> None:
    """Raise a ValueError that names the input if there is no one in the list."""
    if not people:
        raise ValueError(
            f"{input_name}: the list is empty. Encode at least one person with the Face Encoder."
        )


def average(
    name: str, identities: Sequence[Identity], weights: Sequence[float] | None = None
) -> Identity:
    """Average several photos of one person into one identity.

    The embedding is the weighted mean of theirs, normalised to unit length; the crop is that of the
    photo nearest to it. Weights are at least 0, equal by default. Raises ValueError if there is no
    photo, the weights do not fit, or the embeddings cancel each other out.
    """
    if not identities:
        raise ValueError(f"{name}: there is no photo to average.")
    if weights is None:
        weights = [1.0] * len(identities)
    if len(weights) != len(identities):
        raise ValueError(
            f"weights: got {len(weights)} for {len(identities)} photos of {name}. "
            "Give one for each, or leave weights empty."
        )
    if not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) == 0:
        given = ", ".join(f"{w:g}" for w in weights)
        raise ValueError(
            f"weights: expected numbers from 0, one of them above 0, got {given} for {name}. "
            "Give each photo a weight, such as 1, 0.5."
        )
    counted = [identity for identity, weight in zip(identities, weights, strict=True) if weight]
    if len(counted) == 1:  # normalising again would change the last bits
        return counted[0]._replace(name=name)
    embeddings = torch.stack([identity.embedding for identity in identities])  # (N, 512)
    shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    mean = (shares[:, None] * embeddings.cpu().double()).sum(0)
    if mean.norm() < SHORTEST_MEAN:
        raise ValueError(
            f"{name}: the embeddings of the photos cancel each other out, so they cannot all "
            "show the same person. Encode each person on their own."
        )
    mean = F.normalize(mean, dim=0).float()
    similarities = torch.where(shares > 0, embeddings @ mean, -2.0)
    return Identity(name, mean, identities[int(similarities.argmax())].crop)


def append(identities: Sequence[Identity], more: Sequence[Identity]) -> list[Identity]:
    """Return the people of both, in order; a name already in use gets a number: "Anna 2"."""
    return with_unique_names([*identities, *more])


def with_unique_names(identities: Sequence[Identity]) -> list[Identity]:
    """Number repeated names: the second "Anna" becomes "Anna 2"."""
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
    """Give each person a new name, in order. Raises ValueError unless there is one for each."""
    if len(names) != len(identities):
        raise ValueError(
            f"name: got {len(names)} names ({', '.join(names)}) for "
            f"{count_people(len(identities))}. Give one name for each, separated by commas, or "
            "leave name empty."
        )
    renamed = [i._replace(name=name) for i, name in zip(identities, names, strict=True)]
    return with_unique_names(renamed)


def similarity(a: Identity, b: Identity) -> float:
    """Return the cosine of two people's embeddings, 1 for the same photo."""
    return float(a.embedding @ b.embedding)


def serialize_identities(identities: Sequence[Identity]) -> bytes:
    """Return people as a .safetensors file: names, token strengths, embeddings (F, 512) and crops.

    The metadata hold `format`, `version`, and `names` and `token_strengths` as JSON, and `phrases`
    where someone has one; the crop of person i is `crop.i`. Raises ValueError if the list is empty,
    or if the embeddings differ in length.
    """
    check_not_empty("identities", identities)
    lengths = sorted({len(person.embedding) for person in identities})
    if len(lengths) > 1:
        raise ValueError(
            f"identities: the embeddings have {' and '.join(map(str, lengths))} numbers. Encode "
            "all people of a file with the same face model."
        )
    tensors = {"embeddings": torch.stack([person.embedding for person in identities]).float()}
    for index, person in enumerate(identities):
        if person.crop is not None:
            tensors[f"crop.{index}"] = torch.from_numpy(np.ascontiguousarray(person.crop))
    metadata = {
        "format": FILE_FORMAT,
        "version": FILE_VERSION,
        "names": json.dumps([person.name for person in identities]),
        "token_strengths": json.dumps([person.token_strength for person in identities]),
    }
    if any(person.phrase for person in identities):
        metadata["phrases"] = json.dumps([person.phrase for person in identities])
    return serialize_tensors(tensors, metadata)


def load_identities(path: str | Path) -> list[Identity]:
    """Read people from a file of `serialize_identities`.

    Raises ValueError if it is no such file, or is truncated, of another version or inconsistent.
    """
    path = Path(path)
    try:
        tensors, metadata = read_weights(path)
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    if metadata.get("format") != FILE_FORMAT:
        raise ValueError(f"{path.name} holds no people. Expected a file of Save Identities.")
    if metadata.get("version") != FILE_VERSION:
        raise ValueError(
            f"{path.name} is of version {str(metadata.get('version'))[:20]}, expected "
            f"{FILE_VERSION}. Update this node pack, or save the people again."
        )
    try:
        return _parse_people(metadata, tensors)
    except ValueError as error:
        raise ValueError(f"{path.name} is damaged: {error}. Save the people again.") from error


def _parse_people(metadata: dict[str, str], tensors: dict[str, Tensor]) -> list[Identity]:
    names = _parse_list(metadata.get("names", ""))
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError("its names cannot be read")
    strengths = _parse_list(metadata.get("token_strengths", ""))
    if strengths is None or len(strengths) != len(names) or not all(map(_is_strength, strengths)):
        raise ValueError("its token strengths cannot be read")
    phrases = _parse_list(metadata["phrases"]) if "phrases" in metadata else [""] * len(names)
    if phrases is None or list(map(type, phrases)) != [str] * len(names):
        raise ValueError("its phrases cannot be read")
    if unknown := tensors.keys() - {"embeddings", *(f"crop.{i}" for i in range(len(names)))}:
        raise ValueError(f"it has {min(unknown)} beside {count_people(len(names))}")
    embeddings = tensors.get("embeddings")
    if embeddings is None or embeddings.ndim != 2 or len(embeddings) != len(names):
        shape = "no" if embeddings is None else list(embeddings.shape)
        raise ValueError(f"it has {shape} embeddings for {len(names)} names")
    if embeddings.dtype not in WEIGHT_DTYPES.values():
        raise ValueError(f"its embeddings hold {embeddings.dtype}")
    # Copies, because the file may be replaced while they are in use.
    embeddings = embeddings.to(torch.float32, copy=True)
    if not ((embeddings.norm(dim=1) - 1).abs() < 1e-3).all():  # also where one is not finite
        raise ValueError("its embeddings are not of unit length")
    people = []
    texts = [map(escape_surrogates, pair) for pair in zip(names, phrases, strict=True)]
    for index, ((name, phrase), strength) in enumerate(zip(texts, strengths, strict=True)):
        crop = tensors.get(f"crop.{index}")
        if crop is not None and (crop.dtype != torch.uint8 or crop.shape != CROP_SHAPE):
            raise ValueError(f"the crop of {name[:100]} is {list(crop.shape)}")
        pixels = None if crop is None else crop.clone().numpy()
        people.append(Identity(name, embeddings[index], pixels, float(strength), phrase))
    return people


def _parse_list(text: str) -> list[Any] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, list) else None


def _is_strength(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= MAX_TOKEN_STRENGTH
