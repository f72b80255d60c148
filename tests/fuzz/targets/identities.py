"""Files of Save Identities."""

from pathlib import Path

import numpy as np
import torch

from idpatch_core.identity import Identity, load_identities, serialize_identities, with_unique_names

from ..mutations import mutate_safetensors
from ..target import Target


def read_identities(data: bytes, folder: Path) -> None:
    """Load people and write them again."""
    path = folder / "people.safetensors"
    path.write_bytes(data)
    serialize_identities(with_unique_names(load_identities(path)))


def make_seeds() -> list[bytes]:
    def make_person(name: str, crop: bool, strength: float = 1.0) -> Identity:
        pixels = np.zeros((112, 112, 3), np.uint8) if crop else None
        return Identity(name, torch.nn.functional.normalize(torch.ones(8), dim=0), pixels, strength)

    return [
        serialize_identities([make_person("Ada", False)]),
        serialize_identities([make_person("Ada", False, 0.5), make_person("Ada", False)]),
        serialize_identities([make_person("Bo 李", True)]),
    ]


TARGET = Target(read_identities, make_seeds, mutate_safetensors)
