"""The settings of a world, `world.toml`."""

from dataclasses import dataclass, field
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
class CanvasSettings:
    """The scenes of a set: their size in pixels, and the people in them.

    Of `shares` and `two_rows`, the first number is for images of one person, the second for two.
    """

    width: int = 192
    height: int = 96
    shares: tuple[float, ...] = (0.15, 0.3, 0.3, 0.25)  # of the images, by number of people
    two_rows: tuple[float, ...] = ()  # of these images, those with two rows
    # Side of a person's square: of the height, and of the width that each person has.
    heights: tuple[float, float] = (66 / 96, 94 / 96)
    widths: tuple[float, float] = (1.26, 1.42)
    described: float = 0.0  # share of the captions that may name one person's shirt or expression


@dataclass(frozen=True)
class DetectorSettings:
    steps: int
    batch: int
    scales: tuple[float, ...] = (1.0, 4 / 3, 2.0, 8 / 3)  # of scenes; sides stay multiples of 32


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of both face encoders; each has its own blocks: channels in and out."""

    each: int  # crops of a person
    steps: int
    batch: int
    conditioning: tuple[Range, ...]
    scoring: tuple[Range, ...]
    conditioning_steps: int = 0  # 0: as many as the scoring one's


@dataclass(frozen=True)
class VaeSettings:
    channels: int
    steps: int
    batch: int
    widths: tuple[int, ...] = (32, 32, 64, 128)
    crop: int = 48  # pixels; the network is convolutional


@dataclass(frozen=True)
class BaseSettings:
    """Settings of the UNet and its text encoders.

    `large_share` of the steps see images of the set `more`, as many as cost the same as `batch`.
    """

    steps: int
    batch: int
    widths: tuple[int, ...] = (64, 128, 192)  # multiples of the first, as ComfyUI needs them
    large_share: float = 0.0


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
    canvas: CanvasSettings = field(default_factory=CanvasSettings)  # of the set `training`
    large_canvas: CanvasSettings = field(default_factory=CanvasSettings)  # of the other sets
    recipes: str = "."  # folder of the stages, relative to this package


def read_world(path: Path = RECIPES / "world.toml") -> World:
    """Read a world's settings; ValueError names what is wrong with them."""
    return build_dataclass(World, read_settings(path), "")
