"""The training loop: accelerate carries it from one CPU to many machines."""

import json
import math
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from . import checkpoints
from .config import Config, Optimiser, build
from .data import Prepared, load_batches
from .ema import EMA
from .export import export, rebuild
from .networks import (
    FrozenNetworks,
    Networks,
    first_half,
    load_alphas,
    load_frozen_networks,
    load_networks,
)
from .objective import Objective
from .sharding import gathered, is_sharded, kept_as, whole
from .trainable import is_projection, select
from .validate import evaluate, grid, load_scorer_network

CONFIG = "config.json"
HALF_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# A resumed run may differ in these; in anything else it would not be the same run.
FREE = (
    "sampling",
    "run.steps",
    "run.save_every",
    "run.keep",
    "run.log_every",
    "data.workers",
    "data.evaluation",
    "models.scorer",
)


def train(config: Config) -> Path:
    """Train, or go on where the run's last checkpoint ends; return the run's output folder.

    At the end the networks are exported to the folder `export`. A run that was killed and goes on
    ends, on the CPU, with the weights of an uninterrupted one.
    """
    from accelerate import Accelerator, DataLoaderConfiguration

    accelerator: Any = Accelerator(
        mixed_precision=config.run.mixed_precision,
        gradient_accumulation_steps=config.run.gradient_accumulation,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    output = Path(config.run.output)
    if config.data.batch_size % accelerator.num_processes:
        raise ValueError(
            f"data.batch_size is {config.data.batch_size}, which {accelerator.num_processes} "
            "processes cannot share equally."
        )
    if accelerator.is_main_process:
        begin(output, config)
    accelerator.wait_for_everyone()

    prepared = Prepared(config.data.prepared)
    networks = load_networks(config, prepared.embeddings.shape[1]).train()
    trained = select(networks, config.trained)
    if config.run.gradient_checkpointing:
        networks.unet.enable_gradient_checkpointing()
        networks.controlnet.enable_gradient_checkpointing()
    halve_frozen(networks, accelerator.mixed_precision)
    alphas, kind = load_alphas(config.models.base)
    judges = load_frozen_networks(config)
    if judges is not None:
        judges.to(accelerator.device)
    objective = Objective(config.losses, alphas.to(accelerator.device), kind, judges)
    optimiser = make_optimiser(networks, config.optimiser)

    there = checkpoints.all_of(output)
    step = checkpoints.step_of(there[-1]) if there else 0
    loader = load_batches(
        prepared,
        config.drop,
        config.run.seed,
        config.data.batch_size,
        config.data.workers,
        start=step * config.run.gradient_accumulation,
        shuffle_people=config.data.shuffle_people,
    )
    fit_plugins(accelerator, config)
    wrapped, optimiser, loader = accelerator.prepare(networks, optimiser, loader)
    networks = accelerator.unwrap_model(wrapped)
    if accelerator.distributed_type in ("FSDP", "DEEPSPEED"):  # accelerate does so for all others
        networks.forward = autocast(accelerator)(networks.forward)
    ema = EMA(weights_of(networks, trained), config.run.ema) if config.run.ema else None
    keep_only_trained(accelerator, trained, ema)
    if there:
        accelerator.load_state(str(there[-1]))

    progress = Progress(accelerator, output, config, step)
    batches: Iterator = iter(loader)
    frozen = not any(
        p.requires_grad for block in first_half(networks.unet) for p in block.parameters()
    )
    every = config.run.token_gradient_every if frozen else 1
    while step < config.run.steps:
        rate = learning_rate(step, config.run.steps, config.optimiser)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["base_rate"]
        for part in range(config.run.gradient_accumulation):
            share = token_gradient(step * config.run.gradient_accumulation + part, every)
            with accelerator.accumulate(wrapped):
                loss, parts = objective(wrapped, next(batches), accelerator.gather, share)
                accelerator.backward(loss)
                if accelerator.sync_gradients and config.optimiser.clip:
                    learning = (p for p in wrapped.parameters() if p.requires_grad)
                    norm = accelerator.clip_grad_norm_(learning, config.optimiser.clip)
                    if norm is not None:  # DeepSpeed has none before its first step
                        norm = torch.as_tensor(norm, device=accelerator.device)
                        parts["gradient_norm"] = whole(norm)
                optimiser.step()
                optimiser.zero_grad()
            progress.add({"loss": loss.detach(), **parts})
        step += 1
        if ema is not None:
            ema.update(weights_of(networks, trained), step)
        progress.log(step, rate)
        if config.sampling.every and step % config.sampling.every == 0:
            progress.sample(step, networks, trained, ema, alphas, kind)
        if step % config.run.save_every == 0 or step == config.run.steps:
            save(accelerator, output, step, config.run.keep)
    progress.close()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        export(output, output / "export")
    accelerator.end_training()
    return output


def token_gradient(batch: int, every: int) -> float:
    """Return how much the tokens' gradient through the UNet's first half counts in a batch."""
    return float(every) if every and batch % every == 0 else 0.0


def begin(output: Path, config: Config) -> None:
    """Write the run's config, or check that the run which is there was made with the same one.

    Raises ValueError naming a setting that differs and that may not.
    """
    output.mkdir(parents=True, exist_ok=True)
    checkpoints.remove_parts(output)
    path, settings = output / CONFIG, json.loads(json.dumps(config.as_dict()))
    if checkpoints.all_of(output) and path.is_file():
        before = build(Config, json.loads(path.read_text("utf-8")), "")  # with newer defaults
        before = json.loads(json.dumps(before.as_dict()))
        for section, values in settings.items():
            for name, value in values.items():
                was = before.get(section, {}).get(name)
                if was != value and not {section, f"{section}.{name}"} & set(FREE):
                    raise ValueError(
                        f"{section}.{name} is {value!r}, but the run in {output} was begun with "
                        f"{was!r}. Give run.output another folder, or the old value to go on."
                    )
    elif (output / checkpoints.FOLDER).is_dir():
        shutil.rmtree(output / checkpoints.FOLDER)
    path.write_text(json.dumps(settings, indent=1), "utf-8")


def fit_plugins(accelerator: Any, config: Config) -> None:
    """Give DeepSpeed the settings that it keeps itself; refuse what would go wrong.

    Raises ValueError for FSDP 1 and for DeepSpeed's ZeRO stage 3, whose parts of the weights have
    no shape.
    """
    fsdp = getattr(accelerator.state, "fsdp_plugin", None)
    if fsdp is not None and getattr(fsdp, "fsdp_version", 1) != 2:
        raise ValueError("FSDP: expected version 2, got 1. Set fsdp_version: 2 for accelerate.")
    deepspeed = accelerator.state.deepspeed_plugin
    if deepspeed is None:
        return
    if deepspeed.zero_stage == 3:
        raise ValueError(
            "DeepSpeed: expected ZeRO stage 0, 1 or 2, got 3. FSDP with fsdp_version: 2 keeps the "
            "weights in parts as well."
        )
    deepspeed.deepspeed_config |= {
        "train_micro_batch_size_per_gpu": config.data.batch_size // accelerator.num_processes,
        "gradient_accumulation_steps": config.run.gradient_accumulation,
        "gradient_clipping": config.optimiser.clip,
    }


def autocast(accelerator: Any) -> torch.autocast:
    """Return the context in which networks are run in the run's precision."""
    kind = HALF_DTYPES.get(accelerator.mixed_precision)
    return torch.autocast(accelerator.device.type, kind, enabled=kind is not None)


def halve_frozen(networks: Networks, precision: str) -> None:
    """Keep networks that do not learn in the half precision they are run in."""
    if precision in HALF_DTYPES:
        for network in (networks.unet, networks.controlnet):
            if not any(p.requires_grad for p in network.parameters()):
                network.to(HALF_DTYPES[precision])


def make_optimiser(networks: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """Make AdamW for what learns, with the projections' own rate.

    Raises ValueError if the 8-bit one is wanted and bitsandbytes or CUDA is not there.
    """
    # Fused: one kernel instead of ten passes over all weights.
    kind: Any = partial(torch.optim.AdamW, fused=True)
    if settings.eight_bit:
        try:
            from bitsandbytes.optim import AdamW8bit as kind  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ValueError(
                "optimiser.eight_bit needs bitsandbytes and a CUDA device: pip install "
                "bitsandbytes, or set it to false."
            ) from None
    rates = {True: settings.projection_rate or settings.learning_rate}
    rates[False] = settings.learning_rate
    learning = [(n, p) for n, p in networks.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for n, p in learning if is_projection(n) == mine], "base_rate": rate}
        for mine, rate in rates.items()
    ]
    groups = [{**group, "lr": group["base_rate"]} for group in groups if group["params"]]
    return kind(groups, betas=settings.betas, weight_decay=settings.weight_decay)


def learning_rate(step: int, steps: int, settings: Optimiser) -> float:
    """Return the share of the learning rate in a step, counted from 0."""
    rise = min((step + 1) / settings.warmup, 1.0) if settings.warmup else 1.0
    if settings.schedule == "constant":
        return rise
    return rise * (1 + math.cos(math.pi * step / steps)) / 2


def weights_of(networks: nn.Module, names: list[str]) -> dict[str, Tensor]:
    parameters = dict(networks.named_parameters())
    return {name: parameters[name] for name in names}


def keep_only_trained(accelerator: Any, trained: list[str], ema: EMA | None) -> None:
    """Let checkpoints hold what learns, whole, not the frozen networks; and the averages.

    FSDP writes and reads all networks in parts of its own beside them: there `weights` comes empty.
    """

    def write(models: list[nn.Module], weights: list[dict[str, Tensor]], folder: str) -> None:
        weights.clear()
        kept = {checkpoints.WEIGHTS: weights_of(accelerator.unwrap_model(models[0]), trained)}
        if ema is not None:
            kept[checkpoints.AVERAGES] = ema.shadow
        for name, tensors in kept.items():
            tensors = gathered(tensors)
            if accelerator.is_main_process:
                save_file(tensors, Path(folder, name))

    def read(models: list[nn.Module], folder: str) -> None:
        if models:
            networks = accelerator.unwrap_model(models.pop())
            networks.load_state_dict(load_file(Path(folder, checkpoints.WEIGHTS)), strict=False)
        if ema is not None:
            averages = load_file(Path(folder, checkpoints.AVERAGES))
            ema.shadow = {name: kept_as(w, ema.shadow[name]) for name, w in averages.items()}

    accelerator.register_save_state_pre_hook(write)
    accelerator.register_load_state_pre_hook(read)


def save(accelerator: Any, output: Path, step: int, keep: int) -> None:
    """Write a checkpoint that is there whole or not at all."""
    accelerator.save_state(str(checkpoints.part(output, step)))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        checkpoints.complete(output, step, keep)
    accelerator.wait_for_everyone()


class Progress:
    """The progress bar, and TensorBoard's curves, sample grids and metrics; on one process."""

    def __init__(self, accelerator: Any, output: Path, config: Config, step: int):
        from tqdm import tqdm

        self._accelerator, self._config = accelerator, config
        self._sums: dict[str, list[Tensor]] = {}
        self._writer: Any = None
        self._bar = tqdm(
            total=config.run.steps,
            initial=step,
            desc="training",
            disable=not accelerator.is_main_process,
        )
        if accelerator.is_main_process:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(output / "tensorboard"), purge_step=step + 1)

    def add(self, parts: dict[str, Tensor]) -> None:
        for name, value in parts.items():
            self._sums.setdefault(name, []).append(value.detach().float())

    def log(self, step: int, rate: float) -> None:
        """Move the bar; every `log_every` steps, write the means since the last time."""
        self._bar.update()
        if step % self._config.run.log_every:
            return
        means = {name: torch.stack(values).mean() for name, values in self._sums.items()}
        self._sums.clear()
        names = sorted(means)
        values = self._accelerator.reduce(torch.stack([means[n] for n in names]), "mean").tolist()
        if self._writer is not None:
            for name, value in zip(names, values, strict=True):
                self._writer.add_scalar(f"train/{name}", value, step)
            self._writer.add_scalar("train/learning_rate", rate, step)
            self._bar.set_postfix({n: f"{v:.4f}" for n, v in zip(names, values, strict=True)})

    def sample(
        self,
        step: int,
        networks: Networks,
        trained: list[str],
        ema: EMA | None,
        alphas: Tensor,
        kind: str,
    ) -> None:
        """Sample pictures of the evaluation people; write the grid and the metrics.

        One process does so. Networks in parts are put together for it, in a copy.
        """
        config, device = self._config, self._accelerator.device
        if is_sharded(networks):
            learnt = gathered(ema.shadow if ema else weights_of(networks, trained))
            ema = None
            if self._writer is not None:
                networks = rebuild(learnt, config)
                halve_frozen(networks, self._accelerator.mixed_precision)
                networks.to(device)
        if self._writer is not None:
            from contextlib import nullcontext

            from .networks import load_vae

            networks.eval()
            with ema.applied(networks) if ema else nullcontext(), autocast(self._accelerator):
                result = evaluate(
                    networks,
                    FrozenNetworks(load_vae(config.models.base), None, None).to(device),
                    load_scorer_network(config).to(device),
                    Prepared(config.data.evaluation),
                    alphas.to(device),
                    kind,
                    config.sampling,
                )
            networks.train()
            self._writer.add_image("samples", grid(result.pictures), step)
            for name, value in result.metrics.items():
                self._writer.add_scalar(f"evaluation/{name}", value, step)
            self._writer.flush()
            text = ", ".join(
                f"{name} {value:.3f}"
                for name, value in result.metrics.items()
                if name.startswith(("accuracy", "similarity")) and name[-1].isdigit()
            )
            self._bar.write(f"step {step}: {text}")
        self._accelerator.wait_for_everyone()

    def close(self) -> None:
        self._bar.close()
        if self._writer is not None:
            self._writer.close()
