"""The settings of a training run and their valid ranges.

Paths are relative to the current folder. `config_file` reads them from a file.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class ModelsConfig:
    """The models that training starts from."""

    base: str  # SDXL as a diffusers folder: unet, scheduler, and vae if images are decoded
    unet: str = ""  # diffusers folder of a fine-tuned UNet; empty: the base's
    controlnet: str = ""  # diffusers folder; empty: initialised from the UNet
    id_patch: str = ""  # id-patch.bin or .safetensors; empty: new projections
    face_model: str = ""  # IR-SE50 or smaller; for the identity and matching losses
    detector: str = ""  # ONNX file of a fine-tuned YuNet, for the detection loss; empty: the pack's
    scorer: str = ""  # face model of the metrics; empty: face_model, biased upwards


@dataclass(frozen=True)
class ProjectionConfig:
    """The architecture of new projections.

    With `models.id_patch` only `face_sized` applies, and only to switch it on.
    """

    kind: Literal["resampler", "mlp"] = "resampler"
    tokens: int = 16  # per person
    patch_size: int = 64  # side in pixels
    width: int = 1280
    depth: int = 4  # Resampler only
    heads: int = 20  # Resampler only, 64 channels each
    face_sized: bool = False  # resize each patch to the size of the face; else all are patch_size
    location_embedding: bool = False  # add the person's index and point to the tokens (the paper)
    max_people: int = 16  # indices that the location embedding has


@dataclass(frozen=True)
class DataConfig:
    """The training data: folders made by `python -m idpatch_core.training.prepare`.

    Both may name several folders, separated as in PATH (":", on Windows ";").
    """

    prepared: str
    # Prepared folder of other people. Without images in it there are no samples and no metrics.
    evaluation: str = ""
    batch_size: int = 8  # over all processes, for one gradient accumulation step
    workers: int = 2  # data loading processes for each training process
    shuffle_people: bool = True  # false: always from left to right, as the released model expects


@dataclass(frozen=True)
class DropConfig:
    """Probabilities of dropping each part of the condition, for guidance and for variants.

    The last two are one joint draw, which drops in addition to the parts' own draws.
    """

    tokens: float = 0.1  # ID tokens of the zero vector, as in the negative branch
    patches: float = 0.0  # no ID patches
    text: float = 0.1  # the empty caption
    pose: float = 0.1  # a black canvas: pose-free
    everything: float = 0.0  # text, tokens and patches: the negative branch with `guide_patches`
    text_and_tokens: float = 0.0  # the negative branch without `guide_patches`
    # Timesteps above this share of the schedule have the text alone, as at inference.
    injection_ratio: float = 1.0


@dataclass(frozen=True)
class TrainableConfig:
    """The trainable parameters, by patterns of their names; all others are frozen.

    Names begin with `unet.`, `controlnet.`, `patch_proj.` or `prompt_proj.`.
    """

    parameters: tuple[str, ...] = ("patch_proj.*", "prompt_proj.*", "controlnet.*")
    lora_rank: int = 0  # above 0: LoRA on the UNet's layers in `lora_layers`
    lora_layers: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")


LOSSES = ("denoising", "identity", "detection", "matching")


@dataclass(frozen=True)
class LossConfig:
    """The weight of each loss, and its settings."""

    denoising: float = 1.0
    min_snr_gamma: float = 0.0  # 0: all noise levels weigh the same
    face_weight: float = 0.0  # additional weight of the denoising loss inside the face boxes
    identity: float = 0.0
    detection: float = 0.0
    matching: float = 0.0
    matching_temperature: float = 0.1
    # The face losses decode the estimate of x₀ up to this timestep; above it, no face is visible.
    decode_max_timestep: int = 400
    decode_window: int = 0  # latent pixels decoded around each face; 0: the whole image
    # Windows grow with their faces, from `decode_window` on; else a large face is cut off.
    face_sized_windows: bool = False
    # GB of activations that decoding may keep in each process; 0: no limit. In a batch that needs
    # more, the face losses see a random part of the faces.
    decode_memory: float = 0.0


@dataclass(frozen=True)
class OptimiserConfig:
    learning_rate: float = 1e-4
    projection_learning_rate: float = 0.0  # 0: learning_rate
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 500
    schedule: Literal["constant", "cosine"] = "constant"
    max_gradient_norm: float = 1.0  # 0: no clipping
    eight_bit: bool = False  # AdamW8bit of torchao, which FSDP can shard


@dataclass(frozen=True)
class SamplingConfig:
    """Sampling during training, for the image grids and the metrics."""

    every: int = 0  # steps; 0: never
    images: int = 16  # in all, spread over the numbers of people
    # Sampling that would take a larger share of the time is put off; 1: no limit.
    max_share: float = 0.1
    steps: int = 20
    cfg: float = 5.5
    injection_ratio: float = 0.8
    control_strength: float = 1.0
    guide_patches: bool = False  # no patches in the negative branch, as in the nodes


@dataclass(frozen=True)
class RunConfig:
    output: str
    steps: int = 100_000
    seed: int = 0
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    # With a frozen UNet, only the ID tokens need a backward pass through its down and mid blocks.
    # Running it in every n-th batch and scaling that gradient by n is cheaper and unbiased;
    # 0: never.
    token_gradient_every: int = 1
    ema_decay: float = 0.0  # 0: no moving average
    save_every: int = 1000
    keep_checkpoints: int = 2
    log_every: int = 10
    timeout_minutes: float = 120.0  # how long processes wait for one another, as while one samples


@dataclass(frozen=True)
class Config:
    models: ModelsConfig
    data: DataConfig
    run: RunConfig
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)
    drop: DropConfig = field(default_factory=DropConfig)
    trainable: TrainableConfig = field(default_factory=TrainableConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_config(config: Config) -> Config:
    """Return the config; ValueError for values out of range and contradicting settings."""
    for name, share in asdict(config.drop).items():
        if not 0 <= share <= 1:
            raise ValueError(f"drop.{name}: expected a number from 0 to 1, got {share}.")
    if config.drop.everything + config.drop.text_and_tokens > 1:
        raise ValueError(
            "drop.everything and drop.text_and_tokens: expected at most 1 together, got "
            f"{config.drop.everything} and {config.drop.text_and_tokens}."
        )
    for name, weight in asdict(config.losses).items():
        if weight < 0:
            raise ValueError(f"losses.{name}: expected 0 or more, got {weight}.")
    minima = {
        "run.steps": (config.run.steps, 1),
        "run.gradient_accumulation": (config.run.gradient_accumulation, 1),
        "run.token_gradient_every": (config.run.token_gradient_every, 0),
        "run.save_every": (config.run.save_every, 1),
        "run.log_every": (config.run.log_every, 1),
        "run.keep_checkpoints": (config.run.keep_checkpoints, 1),
        "data.batch_size": (config.data.batch_size, 1),
        "data.workers": (config.data.workers, 0),
        "projection.tokens": (config.projection.tokens, 1),
        "sampling.steps": (config.sampling.steps, 1),
        "sampling.images": (config.sampling.images, 1),
        "sampling.every": (config.sampling.every, 0),
        "trainable.lora_rank": (config.trainable.lora_rank, 0),
    }
    for name, (value, minimum) in minima.items():
        if value < minimum:
            raise ValueError(f"{name}: expected {minimum} or more, got {value}.")
    patch_size = config.projection.patch_size
    if patch_size < 2 or patch_size % 2:
        raise ValueError(f"projection.patch_size: expected an even size, got {patch_size}.")
    if not 0 <= config.run.ema_decay < 1:
        raise ValueError(f"run.ema_decay: expected 0 to below 1, got {config.run.ema_decay}.")
    if not 0 < config.sampling.max_share <= 1:
        raise ValueError(
            f"sampling.max_share: expected more than 0, at most 1, got {config.sampling.max_share}."
        )
    if config.run.timeout_minutes <= 0:
        raise ValueError(
            f"run.timeout_minutes: expected more than 0, got {config.run.timeout_minutes}."
        )
    if config.losses.face_sized_windows and not config.losses.decode_window:
        raise ValueError(
            "losses.face_sized_windows needs losses.decode_window, the side of the smallest window."
        )
    if config.losses.matching_temperature == 0:
        raise ValueError("losses.matching_temperature: expected more than 0, got 0.")
    losses = {name: getattr(config.losses, name) for name in LOSSES}
    for name in ("identity", "matching"):
        if losses[name] and not config.models.face_model:
            raise ValueError(f"losses.{name} needs models.face_model, the face recognition file.")
    if config.sampling.every and not config.data.evaluation:
        raise ValueError("sampling.every needs data.evaluation, a prepared folder of other people.")
    if config.sampling.every and not (config.models.scorer or config.models.face_model):
        raise ValueError("sampling.every needs models.scorer or models.face_model, for the scores.")
    if not any(losses.values()):
        raise ValueError("losses: every weight is 0, so nothing would be trained.")
    return config
