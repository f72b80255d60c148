"""The settings of a training run: a TOML, YAML or JSON file, checked before anything is loaded.

Paths are relative to the folder the command is run in. A setting can be changed on the command
line: `losses.identity=0.1`.
"""

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Models:
    """What training starts from."""

    base: str  # SDXL as a diffusers folder: unet, scheduler, and vae if pictures are looked at
    unet: str = ""  # a diffusers folder, to go on with a UNet that learnt; empty: the base's
    controlnet: str = ""  # a diffusers folder; empty: a copy of the UNet's first half
    id_patch: str = ""  # id-patch.bin or .safetensors; empty: new projections
    face_model: str = ""  # IR-SE50 or a smaller one; for the losses that look at faces
    detector: str = ""  # YuNet's ONNX file with other weights; for the detection loss
    scorer: str = ""  # another face model for the metrics; empty: face_model, which flatters


@dataclass(frozen=True)
class Projection:
    """New projections; of those of `models.id_patch` only `face_sized` can be changed, to true."""

    kind: Literal["resampler", "mlp"] = "resampler"
    tokens: int = 16  # a person
    patch: int = 64  # pixels
    width: int = 1280
    depth: int = 4  # of the Resampler
    heads: int = 20  # of the Resampler, 64 wide
    face_sized: bool = False  # patches as large as the faces, not all of `patch` pixels
    location: bool = False  # tag the tokens with index and point, as the paper does
    people: int = 16  # the most that a location embedding counts


@dataclass(frozen=True)
class Data:
    """What is trained on: a folder made by `python -m idpatch_core.training.prepare`."""

    prepared: str
    evaluation: str = ""  # another such folder with other people; empty: no samples, no metrics
    batch_size: int = 8  # of all processes together, for one of the accumulated parts of a step
    workers: int = 2  # processes that read, for each process that trains
    shuffle_people: bool = True  # or always from left to right, as the release wants its subjects


@dataclass(frozen=True)
class Drop:
    """How often each part of the condition is left out, so that guidance and variants work."""

    tokens: float = 0.1  # ID tokens of the zero vector, as the negative branch has
    patches: float = 0.0  # no ID patches
    text: float = 0.1  # the empty text
    pose: float = 0.1  # a black canvas: pose-free


@dataclass(frozen=True)
class Trained:
    """What learns: parameters whose name matches a pattern; all others are frozen.

    Names begin with `unet.`, `controlnet.`, `patch_proj.` or `prompt_proj.`.
    """

    names: tuple[str, ...] = ("patch_proj.*", "prompt_proj.*", "controlnet.*")
    lora_rank: int = 0  # above 0: the UNet's layers in `lora_layers` learn through LoRA
    lora_layers: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True)
class Losses:
    """The weight of each loss, and how it looks at a picture."""

    denoising: float = 1.0
    min_snr: float = 0.0  # gamma; 0: every noise level counts the same
    face_weight: float = 0.0  # how much more the denoising loss counts inside the faces' boxes
    identity: float = 0.0
    detection: float = 0.0
    matching: float = 0.0
    temperature: float = 0.1  # of the matching loss
    highest_timestep: int = 400  # noisier pictures are not decoded: no face can be seen in them
    window: int = 0  # latent cells around each face that are decoded; 0: the whole picture


@dataclass(frozen=True)
class Optimiser:
    learning_rate: float = 1e-4
    projection_rate: float = 0.0  # of the projections; 0: the same
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 500  # steps
    schedule: Literal["constant", "cosine"] = "constant"
    clip: float = 1.0  # the gradient's norm; 0: no limit
    eight_bit: bool = False  # AdamW of bitsandbytes, on CUDA


@dataclass(frozen=True)
class Sampling:
    """How pictures are made while training, for the grids and the metrics."""

    every: int = 0  # steps; 0: never
    pictures: int = 16
    steps: int = 20
    cfg: float = 5.5
    injection_ratio: float = 0.8
    control_strength: float = 1.0
    guide_patches: bool = False  # the negative branch sees no patches, as in the nodes


@dataclass(frozen=True)
class Run:
    output: str
    steps: int = 100_000
    seed: int = 0
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    # A UNet whose first half is frozen is gone back through for the tokens alone. Doing so for
    # every n-th batch, counted n times, costs less and is right on average; 0: never.
    token_gradient_every: int = 1
    ema: float = 0.0  # decay; 0: none
    save_every: int = 1000
    keep: int = 2  # checkpoints
    log_every: int = 10


@dataclass(frozen=True)
class Config:
    models: Models
    data: Data
    run: Run
    projection: Projection = field(default_factory=Projection)
    drop: Drop = field(default_factory=Drop)
    trained: Trained = field(default_factory=Trained)
    losses: Losses = field(default_factory=Losses)
    optimiser: Optimiser = field(default_factory=Optimiser)
    sampling: Sampling = field(default_factory=Sampling)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def load_config(path: str | Path, changes: Sequence[str] = ()) -> Config:
    """Read and check a config file; `changes` are `section.setting=value` with a JSON value.

    Raises ValueError naming the setting for an unknown or missing one, a value of the wrong type
    or out of range, and settings that contradict each other.
    """
    settings = read_settings(Path(path))
    for change in changes:
        name, equals, value = change.partition("=")
        section, dot, setting = name.partition(".")
        if not (equals and dot):
            raise ValueError(f"{change}: expected section.setting=value.")
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError:
            parsed = value  # a text without quotes
        settings.setdefault(section, {})[setting] = parsed
    return check(build(Config, settings, ""))


def read_settings(path: Path) -> dict[str, Any]:
    """Read a TOML, YAML or JSON file of sections; its ending says which."""
    if not path.is_file():
        raise ValueError(f"config: there is no file {path}.")
    text = path.read_text("utf-8")
    try:
        if path.suffix == ".toml":
            try:
                import tomllib
            except ModuleNotFoundError:  # Python 3.10
                import tomli as tomllib  # pyright: ignore[reportMissingImports]
            settings = tomllib.loads(text)
        elif path.suffix in (".yaml", ".yml"):
            import yaml

            settings = yaml.safe_load(text)
        elif path.suffix == ".json":
            settings = json.loads(text)
        else:
            raise ValueError("expected a name that ends in .toml, .yaml or .json")
    except Exception as error:  # each format has an error of its own
        raise ValueError(f"config: {path} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"config: {path} holds no settings, expected sections such as [models].")
    return settings


def build(kind: Any, settings: Any, where: str) -> Any:
    """Make a dataclass of a mapping whose keys are its fields and whose values have their types."""
    if not isinstance(settings, Mapping):
        raise ValueError(f"{where}: expected a section with settings, got {settings!r}.")
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(
            f"{_dotted(where, unknown[0])}: there is no such setting. "
            f"Known here: {', '.join(known)}."
        )
    required = [n for n, f in known.items() if f.default is f.default_factory]  # both MISSING
    if missing := [name for name in required if name not in settings]:
        raise ValueError(f"{_dotted(where, missing[0])} is missing.")
    types_of = get_type_hints(kind)
    values = {k: _value(v, types_of[k], _dotted(where, k)) for k, v in settings.items()}
    return kind(**values)


def _value(value: Any, kind: Any, where: str) -> Any:
    if is_dataclass(kind):
        return build(kind, value, where)
    origin = get_origin(kind)
    if origin is Literal:
        if value not in get_args(kind):
            choices = ", ".join(map(str, get_args(kind)))
            raise ValueError(f"{where}: expected one of {choices}, got {value!r}.")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{where}: expected a list, got {value!r}.")
        kinds = get_args(kind)
        each = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        if len(each) != len(value):
            raise ValueError(f"{where}: expected {len(each)} values, got {len(value)}.")
        return tuple(_value(v, k, where) for v, k in zip(value, each, strict=True))
    if origin in (Union, types.UnionType):
        kind = get_args(kind)[0]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: expected {kind.__name__}, got {value!r}.")
    return value


def _dotted(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def check(config: Config) -> Config:
    """Raise a ValueError for values out of range and settings that contradict each other."""
    for name, probability in asdict(config.drop).items():
        if not 0 <= probability <= 1:
            raise ValueError(f"drop.{name}: expected a probability, 0 to 1, got {probability}.")
    for name, weight in asdict(config.losses).items():
        if weight < 0:
            raise ValueError(f"losses.{name}: expected 0 or more, got {weight}.")
    least = {
        "run.steps": (config.run.steps, 1),
        "run.gradient_accumulation": (config.run.gradient_accumulation, 1),
        "run.token_gradient_every": (config.run.token_gradient_every, 0),
        "run.save_every": (config.run.save_every, 1),
        "run.log_every": (config.run.log_every, 1),
        "run.keep": (config.run.keep, 1),
        "data.batch_size": (config.data.batch_size, 1),
        "data.workers": (config.data.workers, 0),
        "projection.tokens": (config.projection.tokens, 1),
        "sampling.steps": (config.sampling.steps, 1),
        "trained.lora_rank": (config.trained.lora_rank, 0),
    }
    for name, (value, lowest) in least.items():
        if value < lowest:
            raise ValueError(f"{name}: expected {lowest} or more, got {value}.")
    if config.projection.patch < 2 or config.projection.patch % 2:
        raise ValueError(f"projection.patch: expected an even size, got {config.projection.patch}.")
    if not 0 <= config.run.ema < 1:
        raise ValueError(f"run.ema: expected a decay, 0 to below 1, got {config.run.ema}.")
    if config.losses.temperature == 0:
        raise ValueError("losses.temperature: expected more than 0.")
    faces = [name for name in ("identity", "matching") if getattr(config.losses, name)]
    if faces and not config.models.face_model:
        raise ValueError(f"losses.{faces[0]} needs models.face_model, the face recognition file.")
    if config.sampling.every and not config.data.evaluation:
        raise ValueError("sampling.every needs data.evaluation, a prepared folder of other people.")
    if config.sampling.every and not (config.models.scorer or config.models.face_model):
        raise ValueError("sampling.every needs models.scorer or models.face_model, which scores.")
    if not any(getattr(config.losses, n) for n in ("denoising", "identity", "detection")) and not (
        config.losses.matching
    ):
        raise ValueError("losses: every weight is 0, so nothing would be learnt.")
    return config
