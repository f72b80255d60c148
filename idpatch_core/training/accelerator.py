"""Sets up accelerate, which runs the training loop on one CPU or on many machines."""

from datetime import timedelta
from typing import Any

from accelerate import Accelerator, DataLoaderConfiguration, InitProcessGroupKwargs

from .config import Config


def make_accelerator(config: Config) -> Any:
    """Make the run's accelerator; ValueError for a distribution that cannot train the config."""
    accelerator: Any = Accelerator(
        mixed_precision=config.run.mixed_precision,
        gradient_accumulation_steps=config.run.gradient_accumulation,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=timedelta(minutes=config.run.timeout_minutes))
        ],
    )
    if config.data.batch_size % accelerator.num_processes:
        raise ValueError(
            f"data.batch_size is {config.data.batch_size}, expected a multiple of the "
            f"{accelerator.num_processes} processes."
        )
    fsdp = getattr(accelerator.state, "fsdp_plugin", None)
    if fsdp is not None and getattr(fsdp, "fsdp_version", 1) != 2:  # its shards have no shape
        raise ValueError("FSDP: expected version 2, got 1. Set fsdp_version: 2 for accelerate.")
    configure_deepspeed(accelerator, config)
    return accelerator


def configure_deepspeed(accelerator: Any, config: Config) -> None:
    """Give DeepSpeed the settings that accelerate does not pass on.

    Raises ValueError for ZeRO stage 3, whose sharded weights have no shape.
    """
    plugin = accelerator.state.deepspeed_plugin
    if plugin is None:
        return
    if plugin.zero_stage == 3:
        raise ValueError(
            "DeepSpeed: expected ZeRO stage 0, 1 or 2, got 3. To shard the weights, use FSDP with "
            "fsdp_version: 2."
        )
    plugin.deepspeed_config |= {
        "train_micro_batch_size_per_gpu": config.data.batch_size // accelerator.num_processes,
        "gradient_accumulation_steps": config.run.gradient_accumulation,
        "gradient_clipping": config.optimiser.max_gradient_norm,
    }
