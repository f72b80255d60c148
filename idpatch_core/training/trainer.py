"""The training loop."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from .accelerator import make_accelerator
from .base_model import load_alphas
from .checkpoint_hooks import register_checkpoint_hooks, save_checkpoint
from .config import Config
from .data import PreparedData, load_batches
from .ema import EMA
from .export import export
from .frozen_networks import load_frozen_networks
from .monitor import Monitor
from .networks import load_networks
from .objective import Objective
from .optimiser import learning_rate_factor, make_optimiser, set_learning_rate
from .precision import autocast, cast_frozen
from .run_folder import checkpoint_step, list_checkpoints, write_config
from .sharding import gather_tensor
from .token_gradient import is_encoder_frozen, token_gradient_factor
from .trainable import named_weights, select_trainable


def train(config: Config) -> Path:
    """Train, or resume from the run's last checkpoint; return the run's output folder.

    The networks are exported to the folder `export` at the end. On the CPU, a resumed run ends with
    the weights of an uninterrupted one.
    """
    accelerator = make_accelerator(config)
    output = Path(config.run.output)
    if accelerator.is_main_process:
        write_config(output, config)
    accelerator.wait_for_everyone()

    # Networks and losses
    data = PreparedData(config.data.prepared)
    networks = load_networks(config, data.embedding_dim).train()
    trainable = select_trainable(networks, config.trainable)
    if config.run.gradient_checkpointing:
        networks.unet.enable_gradient_checkpointing()
        networks.controlnet.enable_gradient_checkpointing()
    cast_frozen(networks, accelerator.mixed_precision)
    alphas, prediction_type = load_alphas(config.models.base)
    frozen = load_frozen_networks(config)
    if frozen is not None:
        frozen.to(accelerator.device)
    objective = Objective(
        config.losses,
        alphas.to(accelerator.device),
        prediction_type,
        frozen,
        config.drop.injection_ratio,
    )
    optimiser = make_optimiser(networks, config.optimiser)

    # Data, from the step to resume at
    checkpoints = list_checkpoints(output)
    step = checkpoint_step(checkpoints[-1]) if checkpoints else 0
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
    if checkpoints:
        accelerator.load_state(str(checkpoints[-1]))

    monitor = Monitor(accelerator, output, config, step)
    batches: Iterator = iter(loader)
    every = config.run.token_gradient_every if is_encoder_frozen(networks.unet) else 1
    while step < config.run.steps:
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
        if config.sampling.every and step % config.sampling.every == 0:
            monitor.evaluate(step, networks, trainable, ema, alphas, prediction_type)
        if step % config.run.save_every == 0 or step == config.run.steps:
            save_checkpoint(accelerator, output, step, config.run.keep_checkpoints)
    monitor.close()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        export(output, output / "export")
    accelerator.end_training()
    return output


def clip_gradients(accelerator: Any, networks: Any, max_norm: float) -> torch.Tensor | None:
    """Clip the gradients and return their norm; None before DeepSpeed's first step."""
    trainable = (p for p in networks.parameters() if p.requires_grad)
    norm = accelerator.clip_grad_norm_(trainable, max_norm)
    if norm is None:
        return None
    return gather_tensor(torch.as_tensor(norm, device=accelerator.device))
