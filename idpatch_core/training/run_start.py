"""Opens a run's folder in all processes, and checks before the first step what it needs later."""

import shutil
import time
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from torch import nn

from .checkpoint_folder import CHECKPOINTS, find_checkpoint_to_resume
from .checkpoint_hooks import estimate_checkpoint_bytes
from .config import Config
from .networks import Networks
from .prepared_data import PreparedData
from .run_folder import CONFIG_FILE, write_config

VISIBLE_SECONDS = 30  # in which a file must be visible on all machines


def open_run(accelerator: Any, output: Path, config: Config) -> Path | None:
    """Write the run's config; return the checkpoint that all processes resume from, or None.

    The main process chooses it. Raises ValueError if the folder cannot be used, or if a process
    does not see what the main process wrote.
    """
    names = [""]
    if accelerator.is_main_process:
        write_config(output, config)
        checkpoint = find_checkpoint_to_resume(output)
        names = [checkpoint.name if checkpoint else ""]
    name = broadcast_object_list(names)[0]
    written = output / CHECKPOINTS / name if name else output / CONFIG_FILE
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not written.exists():
        if time.monotonic() > deadline:
            raise ValueError(
                f"run.output: process {accelerator.process_index} does not see {written}, which "
                "the main process has. Set run.output to a folder that all machines share."
            )
        time.sleep(1)
    return written if name else None


def check_data(networks: Networks, data: PreparedData, embedding_dim: int) -> None:
    """Raise a ValueError for prepared data that the networks cannot be trained or sampled with.

    That is: files are missing, it is of another base or face model, or an image has more people
    than the location embedding has indices.
    """
    data.check_files()
    text_dim = data.empty_caption()["text"].shape[-1]
    dims, expected = (text_dim, data.embedding_dim), (networks.text_dim, embedding_dim)
    if dims != expected:
        raise ValueError(
            f"data: {data.folder} has captions of {dims[0]} and embeddings of {dims[1]} numbers, "
            f"expected {expected[0]} and {expected[1]}. Prepare it with models.base and "
            "models.face_model."
        )
    location = networks.prompt_proj.location
    most = max((image.people for image in data.images), default=0)
    if location is not None and most > location.index.num_embeddings:
        raise ValueError(
            f"data: an image in {data.folder} has {most} people, but the location embedding has "
            f"{location.index.num_embeddings} indices. Raise projection.max_people, or prepare "
            "with --max-people."
        )


def check_disk(
    accelerator: Any, output: Path, networks: Networks, trainable: list[str], config: Config
) -> None:
    """Raise a ValueError if the disk is too small for the run's checkpoints and its export.

    One checkpoint more than `run.keep_checkpoints` exists while it is written. What the folder
    holds already is replaced.
    """
    if not accelerator.is_main_process:
        return
    keep, sharded = config.run.keep_checkpoints, accelerator.distributed_type == "FSDP"
    checkpoint = estimate_checkpoint_bytes(networks, trainable, config, sharded)
    needed = (keep + 1) * checkpoint + _estimate_export_bytes(networks, config)
    held = sum(
        path.stat().st_size
        for folder in (CHECKPOINTS, "export")
        for path in (output / folder).rglob("*")
        if path.is_file()
    )
    free = shutil.disk_usage(output).free
    if free + held < needed:
        raise ValueError(
            f"run.output: {output} needs about {needed / 1e9:.1f} GB, for {keep + 1} checkpoints "
            f"of {checkpoint / 1e9:.1f} GB and the export, but {free / 1e9:.1f} GB are free. "
            "Free some, lower run.keep_checkpoints, or set run.output to another disk."
        )


def _estimate_export_bytes(networks: Networks, config: Config) -> int:
    """Return about how large the export will be: the projections are written in two layouts."""
    projections = networks.patch_proj, networks.prompt_proj
    parts: list[nn.Module] = [networks.controlnet, *projections, *projections]
    if not config.trainable.lora_rank and any(p.requires_grad for p in networks.unet.parameters()):
        parts.append(networks.unet)
    return sum(4 * w.numel() for part in parts for w in part.parameters())
