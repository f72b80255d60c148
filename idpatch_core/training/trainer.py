"""The training loop."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .accelerator import make_accelerator
from .base_model import load_alphas
from .checkpoint_folder import checkpoint_step
from .checkpoint_hooks import register_checkpoint_hooks, save_checkpoint
from .config import Config
from .data import load_batches
from .ema import EMA
from .export import export
from .frozen_networks import load_frozen_networks
from .monitor import Monitor
from .networks import load_networks
from .objective import Objective
from .optimiser import learning_rate_factor, make_optimiser, set_learning_rate
from .precision import autocast, cast_frozen
from .prepared_data import PreparedData
from .run_start import check_data, check_disk, open_run
from .run_validation import RunValidation, load_evaluation_data
from .sharding import gather_tensor
from .stop_signal import EXIT_CODE, StopSignal
from .token_gradient import is_encoder_frozen, token_gradient_factor
from .trainable import named_weights, select_trainable


def train(config: Config) -> Path:
    """Train, or resume from the run's last whole checkpoint; return the run's output folder.

    The networks are exported to the folder `export` at the end. On the CPU, a resumed run ends with
    the weights of an uninterrupted one. Everything that the run needs later is loaded or checked
    before the first step. After SIGTERM the run is saved and the process exits with EXIT_CODE.
    """
    accelerator = make_accelerator(config)
    output = Path(config.run.output)
    with StopSignal() as stop:
        step = _train(config, accelerator, output, stop)
    if step < config.run.steps:
        if accelerator.is_main_process:
            print(
                f"SIGTERM: the run in {output} ends after step {step} of {config.run.steps}, which "
                "is saved. Repeat the command to resume.",
                file=sys.stderr,
            )
        accelerator.end_training()
        sys.exit(EXIT_CODE)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        export(output, output / "export")
    accelerator.end_training()
    return output


def _train(config: Config, accelerator: Any, output: Path, stop: StopSignal) -> int:
    """Train until the last step, or the first after a signal; return the step that is saved."""
    checkpoint = open_run(accelerator, output, config)
    step = checkpoint_step(checkpoint) if checkpoint else 0

    # Networks, losses, and the data of training and of validation
    data = PreparedData(config.data.prepared)
    report = partial(accelerator.print, file=sys.stderr)
    evaluation_data = load_evaluation_data(config, report)
    networks = load_networks(config, data.embedding_dim).train()
    trainable = select_trainable(networks, config.trainable)
    for prepared in filter(None, (data, evaluation_data)):
        check_data(networks, prepared, data.embedding_dim)
    if config.run.gradient_checkpointing:
        networks.unet.enable_gradient_checkpointing()
        networks.controlnet.enable_gradient_checkpointing()
    cast_frozen(networks, accelerator.mixed_precision)
    alphas, prediction_type = load_alphas(config.models.base)
    alphas = alphas.to(accelerator.device)
    frozen = load_frozen_networks(config, sampled=evaluation_data is not None)
    if frozen is not None:
        frozen.to(accelerator.device)
    injection_ratio = config.drop.injection_ratio
    objective = Objective(config.losses, alphas, prediction_type, frozen, injection_ratio)
    optimiser = make_optimiser(networks, config.optimiser)
    check_disk(accelerator, output, networks, trainable, config)

    # Batches, from the step to resume at
    accumulation = config.run.gradient_accumulation
    loader = load_batches(
        data,
        config.drop,
        config.run.seed,
        config.data.batch_size,
        config.data.workers,
        start=step * accumulation,
        shuffle_people=config.data.shuffle_people,
    )

    # Distribution and checkpoints
    wrapped, optimiser, loader = accelerator.prepare(networks, optimiser, loader)
    networks = accelerator.unwrap_model(wrapped)
    if accelerator.distributed_type in ("FSDP", "DEEPSPEED"):  # accelerate does so for the others
        networks.forward = autocast(accelerator)(networks.forward)
    ema = None
    if config.run.ema_decay:
        ema = EMA(named_weights(networks, trainable), config.run.ema_decay)
    register_checkpoint_hooks(accelerator, trainable, ema)
    if checkpoint:
        load_checkpoint(accelerator, checkpoint)
    saved = step

    monitor = Monitor(accelerator, output, config, step)
    validation = None
    if evaluation_data is not None and frozen is not None:
        validation = RunValidation(
            accelerator,
            config,
            evaluation_data,
            frozen,
            alphas,
            prediction_type,
            trainable,
            stop,
        )
    batches: Iterator = iter(loader)
    every = config.run.token_gradient_every if is_encoder_frozen(networks.unet) else 1
    while step < config.run.steps and not stop.reached(accelerator):
        learning_rate = learning_rate_factor(step, config.run.steps, config.optimiser)
        set_learning_rate(optimiser, learning_rate)
        for micro_step in range(accumulation):
            token_gradient = token_gradient_factor(step * accumulation + micro_step, every)
            with accelerator.accumulate(wrapped):
                loss, losses = objective(wrapped, next(batches), accelerator.gather, token_gradient)
                accelerator.backward(loss)
                if accelerator.sync_gradients and config.optimiser.max_gradient_norm:
                    norm = clip_gradients(accelerator, wrapped, config.optimiser.max_gradient_norm)
                    if norm is not None:
                        losses["gradient_norm"] = norm
                optimiser.step()
                optimiser.zero_grad()
            monitor.add({"loss": loss.detach(), **losses})
        step += 1
        if ema is not None:
            ema.update(named_weights(networks, trainable), step)
        monitor.log(step, learning_rate)
        sampling_due = validation is not None and validation.is_due(step)
        if sampling_due or step % config.run.save_every == 0 or step == config.run.steps:
            save_checkpoint(accelerator, output, step, config.run.keep_checkpoints)
            saved = step
        if validation is not None and sampling_due:  # after saving: it may end the process
            monitor.write_evaluation(step, validation.run(networks, ema))
    if saved < step:
        save_checkpoint(accelerator, output, step, config.run.keep_checkpoints)
    monitor.close()
    return step


def load_checkpoint(accelerator: Any, checkpoint: Path) -> None:
    """Load a run's state; ValueError naming the checkpoint if it does not fit or is damaged."""
    try:
        accelerator.load_state(str(checkpoint))
    except Exception as error:  # each file's reader has kinds of its own
        raise ValueError(
            f"run: {checkpoint} cannot be loaded: {error}. If it is damaged, remove that folder: "
            "the run then resumes from the checkpoint before it."
        ) from error


def clip_gradients(accelerator: Any, networks: Any, max_norm: float) -> torch.Tensor | None:
    """Clip the gradients and return their norm; None before DeepSpeed's first step."""
    trainable = (p for p in networks.parameters() if p.requires_grad)
    norm = accelerator.clip_grad_norm_(trainable, max_norm)
    if norm is None:
        return None
    return gather_tensor(torch.as_tensor(norm, device=accelerator.device))
