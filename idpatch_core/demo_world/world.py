"""The settings of a world, `world.toml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..training.config_file import build_dataclass, read_settings

RECIPES = Path(__file__).parent  # of world.toml and the stages
Range = tuple[int, int]


@dataclass(frozen=True)
class PeopleRanges:
    """First person and one after the last, of each set."""

    scenes: Range
    more: Range
    conditioning: Range
    scoring: Range
    evaluation: Range


@dataclass(frozen=True)
class ImageCounts:
    """Number of scenes in each set."""

    training: int
    more: int
    evaluation: int


@dataclass(frozen=True)
class DetectorSettings:
    steps: int
    batch: int


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of both face encoders; each has its own blocks: channels in and out."""

    each: int  # crops of a person
    steps: int
    batch: int
    conditioning: tuple[Range, ...]
    scoring: tuple[Range, ...]


@dataclass(frozen=True)
class VaeSettings:
    channels: int
    steps: int
    batch: int


@dataclass(frozen=True)
class BaseSettings:
    steps: int
    batch: int


@dataclass(frozen=True)
class World:
    seed: int
    workers: int
    precision: Literal["no", "bf16"]
    people: PeopleRanges
    images: ImageCounts
    detector: DetectorSettings
    faces: EncoderSettings
    vae: VaeSettings
    base: BaseSettings


def read_world(path: Path = RECIPES / "world.toml") -> World:
    """Read a world's settings; ValueError names what is wrong with them."""
    return build_dataclass(World, read_settings(path), "")
