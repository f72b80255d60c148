"""The released pipeline's algorithm on diffusers' own networks: an independent reference.

Follows `modules/inferencer.py` and `modules/pipeline_idpatch_sd_xl.py` of bytedance/ID-Patch in
float32, with the tiny SDXL-shaped networks of `tests/data/reference`.
"""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from euler_scheduler import euler_scheduler
from safetensors.torch import load_file
from torch import Tensor

DATA = Path(__file__).parents[1] / "data" / "reference"


class Case(NamedTuple):
    """Inputs of one run: F people on a base image (1, 3, H, W) in [0, 1]; text rows are
    negative, positive (2, N, 2048) and (2, 1280)."""

    base: Tensor
    points: Tensor  # (F, 2)
    patches: Tensor  # (F, 3, 64, 64)
    tokens: Tensor  # (F, 16, 2048)
    zero_tokens: Tensor  # (F, 16, 2048)
    text: Tensor
    pooled: Tensor
    noise: Tensor  # (1, 4, H/8, W/8)
    steps: int
    ratio: float
    cfg: float
    scale: float


def random_case(
    people: int = 2,
    height: int = 192,
    width: int = 128,
    steps: int = 5,
    ratio: float = 0.8,
    cfg: float = 5.5,
    scale: float = 0.8,
    points: list[list[float]] | None = None,
    seed: int = 0,
) -> Case:
    g = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g)

    random_points = torch.rand(people, 2, generator=g) * torch.tensor([width, height])
    return Case(
        base=torch.rand(1, 3, height, width, generator=g),
        points=random_points if points is None else torch.tensor(points),
        patches=randn(people, 3, 64, 64),
        tokens=randn(people, 16, 2048),
        zero_tokens=randn(people, 16, 2048),
        text=randn(2, 77, 2048),
        pooled=randn(2, 1280),
        noise=randn(1, 4, height // 8, width // 8),
        steps=steps,
        ratio=ratio,
        cfg=cfg,
        scale=scale,
    )


def condition_image(case: Case) -> Tensor:
    height, width = case.base.shape[2:]
    canvas = torch.zeros(1, 3, height + 64, width + 64)
    low, high = torch.round(case.points - 32).int(), torch.round(case.points + 32).int()
    for patch, (x0, y0), (x1, y1) in zip(case.patches, low.tolist(), high.tolist(), strict=True):
        if x0 + 32 < 0 or x1 - 32 >= width or y0 + 32 < 0 or y1 - 32 >= height:
            continue
        canvas[0, :, y0 + 32 : y1 + 32, x0 + 32 : x1 + 32] += patch
    return case.base + canvas[:, :, 32:-32, 32:-32]


def load_networks() -> tuple[UNet2DConditionModel, ControlNetModel]:
    config = json.loads((DATA / "unet_config.json").read_text())
    unet = UNet2DConditionModel.from_config(config)
    assert isinstance(unet, UNet2DConditionModel)
    control = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    unet.load_state_dict(_floats("unet.safetensors"))
    control.load_state_dict(_floats("controlnet.safetensors"))
    return unet.eval(), control.eval()


def _floats(name: str) -> dict[str, Tensor]:
    return {key: value.float() for key, value in load_file(DATA / name).items()}


@torch.inference_mode()
def final_latent(case: Case, unet: UNet2DConditionModel, control: ControlNetModel) -> Tensor:
    """Return the final latent (1, 4, H/8, W/8) in the model's space."""
    scheduler = euler_scheduler(case.steps)
    height, width = case.base.shape[2:]
    text = torch.cat(
        [
            torch.cat([case.text[:1], case.zero_tokens.reshape(1, -1, 2048)], 1),
            torch.cat([case.text[1:], case.tokens.reshape(1, -1, 2048)], 1),
        ]
    )
    sizes = torch.tensor([[height, width, 0, 0, height, width]] * 2, dtype=torch.float32)
    added = {"text_embeds": case.pooled, "time_ids": sizes}
    hint = condition_image(case).expand(2, -1, -1, -1)
    latent = case.noise * scheduler.init_noise_sigma
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.scale_model_input(torch.cat([latent] * 2), t)  # pyright: ignore[reportArgumentType]
        visible = text[:, :77] if i < case.steps * (1 - case.ratio) else text
        down, mid = control(
            x, t, visible, hint, case.scale, added_cond_kwargs=added, return_dict=False
        )
        negative, positive = unet(
            x,
            t,
            visible,
            added_cond_kwargs=added,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0].chunk(2)
        guided = negative + case.cfg * (positive - negative)
        latent = scheduler.step(guided, t, latent, return_dict=False)[0]  # pyright: ignore
    return latent
