"""Measures a training step of ID-Patch against a plain ControlNet step of the same networks.

The plain step is that of diffusers' `train_controlnet_sdxl.py`: noise, ControlNet, frozen UNet,
mean squared error, AdamW, with an image as condition and the text alone. The ID-Patch step also
projects the people's embeddings, composes their patches and appends their tokens; its face losses
are off. The kinds of steps alternate in one process, and the time is the median of the rounds;
memory is the peak of a separate process for each kind.

The tokens' gradient is most of the difference: the plain step needs no backward pass through the
down and mid blocks of the frozen UNet, because a ControlNet acts on the up blocks alone; tokens act
on all. `run.token_gradient_every` reduces that: the second row has it in every step, the third in
every `--every`-th one.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("plain", "id-patch", "id-patch, every n")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--every", type=int, default=2, help="of the last row")
    parser.add_argument("--checkpointing", action="store_true", help="as with --full-size")
    parser.add_argument("--full-size", action="store_true", help="SDXL's shapes, in bf16, on CUDA")


def make_networks(options: argparse.Namespace) -> Any:
    """Make UNet, ControlNet and projections: SDXL's, or smaller ones of the same structure."""
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    from idpatch_core.projection import Resampler
    from idpatch_core.training.networks import Networks

    torch.manual_seed(0)
    full = options.full_size
    settings: dict[str, Any] = {
        "block_out_channels": (320, 640, 1280) if full else (128, 256, 384),
        "attention_head_dim": (5, 10, 20) if full else (2, 4, 6),
        "transformer_layers_per_block": (1, 2, 10) if full else (1, 1, 2),
        "cross_attention_dim": 2048 if full else 256,
        "projection_class_embeddings_input_dim": 2816 if full else 256 + 6 * 256,
    }
    with torch.device(options.device):
        unet: Any = UNet2DConditionModel(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            **settings,
        )
        control = ControlNetModel.from_unet(unet)
        shape = (
            {"width": 1280, "depth": 4, "heads": 20}
            if full
            else {"width": 128, "depth": 2, "heads": 2}
        )
        patch = Resampler(512, 3, 64 * 64, **shape)
        prompt = Resampler(512, 16, settings["cross_attention_dim"], **shape)
    networks = Networks(unet, control, patch, prompt)
    unet.requires_grad_(False)
    if full:
        unet.to(torch.bfloat16)
    if full or options.checkpointing:
        for network in (unet, control):
            network.enable_gradient_checkpointing()
    return networks


def make_batch(options: argparse.Namespace, networks: Any) -> Any:
    import torch

    from idpatch_core.training.data import Batch

    side = 1024 if options.full_size else 256
    count, people, config = options.batch, options.people, networks.unet.config
    pooled = config.projection_class_embeddings_input_dim - 6 * 256
    torch.manual_seed(1)
    latent = (count, 4, side // 8, side // 8)
    batch = Batch(
        latents=torch.randn(latent),
        noise=torch.randn(latent),
        timesteps=torch.randint(1000, (count,)),
        text=torch.randn(count, 77, config.cross_attention_dim),
        pooled=torch.randn(count, pooled),
        time_ids=torch.full((count, 6), float(side)),
        base=torch.rand(count, 3, side, side),
        points=torch.rand(count, people, 2) * side,
        reference_embeddings=torch.randn(count, people, 512),
        own_embeddings=torch.randn(count, people, 512),
        view_embeddings=torch.randn(count, people, 512),
        token_keep=torch.ones(count),
        patch_keep=torch.ones(count),
        groups=torch.zeros(count, people, dtype=torch.long),
        keypoints=torch.zeros(count, people, 5, 2),
        boxes=torch.zeros(count, people, 4),
        reference_faces=torch.zeros(count, people, dtype=torch.long),
    )
    return Batch(*(x.to(options.device) for x in batch))


def make_step(kind: str, options: argparse.Namespace, networks: Any, batch: Any) -> Callable:
    """Return a function that runs `options.every` steps: forward, backward, clipping, AdamW."""
    import torch
    import torch.nn.functional as F

    from idpatch_core.training.config import LossConfig, OptimiserConfig
    from idpatch_core.training.losses import EPSILON, add_noise
    from idpatch_core.training.objective import Objective
    from idpatch_core.training.optimiser import make_optimiser
    from idpatch_core.training.token_gradient import token_gradient_factor

    alphas = torch.linspace(0.999, 0.005, 1000, device=options.device)
    objective = Objective(LossConfig(), alphas, EPSILON)
    if kind == "plain":
        trainable = list(networks.controlnet.parameters())
        optimiser = torch.optim.AdamW(trainable, 1e-6)
    else:
        trainable = [p for p in networks.parameters() if p.requires_grad]
        optimiser = make_optimiser(networks, OptimiserConfig(1e-6))

    def plain_loss() -> Any:
        noisy = add_noise(batch.latents, batch.noise, alphas[batch.timesteps])
        added = {"text_embeds": batch.pooled, "time_ids": batch.time_ids}
        down, mid = networks.controlnet(
            noisy,
            batch.timesteps,
            batch.text,
            batch.base,
            added_cond_kwargs=added,
            return_dict=False,
        )
        prediction = networks.unet(
            noisy,
            batch.timesteps,
            batch.text,
            added_cond_kwargs=added,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]
        return F.mse_loss(prediction.float(), batch.noise)

    def id_patch_loss(number: int) -> Any:
        every = 1 if kind == "id-patch" else options.every
        factor = token_gradient_factor(number, every)
        return objective(networks, batch, token_gradient=factor)[0]

    def run_steps() -> None:
        device = options.device.split(":")[0]
        for number in range(options.every):
            with torch.autocast(device, torch.bfloat16, enabled=options.full_size):
                loss = plain_loss() if kind == "plain" else id_patch_loss(number)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainable, 1.0)
            optimiser.step()
            networks.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    return run_steps


def measure_memory(kind: str, options: argparse.Namespace) -> float:
    """Return the peak memory of some steps in GB, of the device or of this process."""
    import torch

    networks = make_networks(options)
    if kind == "plain":
        del networks.patch_proj, networks.prompt_proj
    step = make_step(kind, options, networks, make_batch(options, networks))
    for _ in range(2):
        step()
    if options.device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure_in_process(kind: str, options: argparse.Namespace) -> float:
    code = (
        "import argparse, json, sys; from tests.benchmarks import training;"
        "options = argparse.Namespace(**json.loads(sys.argv[2]));"
        "print(training.measure_memory(sys.argv[1], options))"
    )
    command = [sys.executable, "-c", code, kind, json.dumps(vars(options))]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return for each kind of step its time and peak memory, against the plain step."""
    if options.full_size and options.device == "cpu":
        options.device = "cuda"
    memory = {kind: measure_in_process(kind, options) for kind in KINDS}
    networks = make_networks(options)
    batch = make_batch(options, networks)
    steps = {kind: make_step(kind, options, networks, batch) for kind in KINDS}
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(options.rounds + 1):
        for kind in KINDS:
            start = time.perf_counter()
            steps[kind]()
            if turn:  # the first is a warm-up
                times[kind].append((time.perf_counter() - start) / options.every)
    rows = []
    for kind in KINDS:
        ratios = [b / a for a, b in zip(times["plain"], times[kind], strict=True)]
        row = {"kind": kind, "seconds": statistics.median(times[kind]), "gb": memory[kind]}
        row |= {"ratio": statistics.median(ratios), "ratio_range": [min(ratios), max(ratios)]}
        rows.append({**row, "memory": memory[kind] / memory["plain"]})
    return {"settings": vars(options), "rows": rows}
