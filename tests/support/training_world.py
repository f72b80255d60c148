"""Tiny random networks and images to train with: a few kilobytes, made in seconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from idpatch_core.arcface import IRSE50
from idpatch_core.training.config import Config
from idpatch_core.training.config_file import make_config
from idpatch_core.training.prepared_data import (
    EMBEDDINGS_FILE,
    EMPTY_CAPTION_FILE,
    FORMAT_VERSION,
    INDEX_FILE,
    INFO_FILE,
)

WIDTH, HEIGHT, SCALE = 64, 48, 8
CONTEXT_DIM, POOLED_DIM, TOKENS, EMBEDDING_DIM = 32, 24, 5, 16
SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
}
# Eyes, nose and corners of the mouth around the nose, of a face some 20 pixels tall.
FACE = np.array([[-4, -5], [4, -5], [0, 0], [-3, 5], [3, 5]], np.float32)


def tiny_unet(context_dim: int = CONTEXT_DIM, pooled_dim: int = POOLED_DIM) -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 32),
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=context_dim,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=pooled_dim + 6 * 8,
        norm_num_groups=8,
    )


def tiny_vae() -> Any:
    from diffusers import AutoencoderKL

    torch.manual_seed(1)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
    )
    return vae.eval()


def tiny_face_model() -> IRSE50:
    torch.manual_seed(2)
    network = IRSE50([(8, 8), (8, 16), (16, 16), (16, 16)], EMBEDDING_DIM).eval()
    return network.requires_grad_(False)


def make_base(folder: Path) -> Path:
    """Write a base model: unet, vae, scheduler."""
    tiny_unet().save_pretrained(folder / "unet")
    tiny_vae().save_pretrained(folder / "vae")
    (folder / "scheduler").mkdir(parents=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return folder


def make_control(folder: Path) -> Path:
    """Write a ControlNet whose zero convolutions are no longer zero, as after some training."""
    from diffusers import ControlNetModel

    control = ControlNetModel.from_unet(tiny_unet())
    torch.manual_seed(3)
    for name, weight in control.named_parameters():
        if name.startswith("controlnet_") and not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    control.save_pretrained(folder)
    return folder


def make_prepared(folder: Path, images: int = 12, people: int = 2, seed: int = 0) -> Path:
    """Write a prepared folder with three photos or more of each person."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.from_numpy(random.standard_normal(shape).astype(np.float32))

    (folder / "images").mkdir(parents=True)
    lines, embeddings = [], []
    for i in range(images):
        noses = np.stack([np.linspace(16, WIDTH - 16, people), random.uniform(16, 30, people)], 1)
        keypoints = (noses[:, None] + FACE).astype(np.float32)
        poses = np.zeros((people, 18, 3))
        poses[:, [0, 1, 2, 5], :2] = noses[:, None] + [[0, 0], [0, 14], [-9, 15], [9, 15]]
        poses[:, [0, 1, 2, 5], 2] = 1
        name = f"images/{i}.safetensors"
        save_file(
            {
                "latent_mean": normal(4, HEIGHT // SCALE, WIDTH // SCALE),
                "latent_std": torch.full((4, HEIGHT // SCALE, WIDTH // SCALE), 0.1),
                "text": normal(TOKENS, CONTEXT_DIM),
                "pooled": normal(POOLED_DIM),
                "time_ids": torch.tensor([HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]),
                "keypoints": torch.from_numpy(keypoints),
                "boxes": torch.from_numpy(np.concatenate([noses - 9, noses + 9], 1)).float(),
                "poses": torch.from_numpy(poses).float(),
                "crops": torch.from_numpy(random.integers(0, 256, (people, 112, 112, 3), np.uint8)),
            },
            folder / name,
        )
        groups = [f"person {(i + k) % 4}" for k in range(people)]
        lines.append({"file": name, "width": WIDTH, "height": HEIGHT, "people": groups})
        embeddings.append(torch.nn.functional.normalize(normal(people, EMBEDDING_DIM), dim=-1))
    (folder / INDEX_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    save_file({"embeddings": torch.cat(embeddings)}, folder / EMBEDDINGS_FILE)
    save_file(
        {"text": normal(TOKENS, CONTEXT_DIM), "pooled": normal(POOLED_DIM)},
        folder / EMPTY_CAPTION_FILE,
    )
    (folder / INFO_FILE).write_text(json.dumps({"version": FORMAT_VERSION, "scaling_factor": 0.5}))
    return folder


def make_world(folder: Path) -> dict[str, str]:
    """Write all files that a run needs; return their paths by the config's settings."""
    from safetensors.torch import save_model

    save_model(tiny_face_model(), str(folder / "face.safetensors"))
    return {
        "base": str(make_base(folder / "base")),
        "controlnet": str(make_control(folder / "control")),
        "face_model": str(folder / "face.safetensors"),
        "prepared": str(make_prepared(folder / "prepared")),
        "evaluation": str(make_prepared(folder / "evaluation", images=4, seed=1)),
    }


def settings(world: dict[str, str], output: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    """Return a config's sections for a run of a few steps; `sections` add to them."""
    base: dict[str, dict[str, Any]] = {
        "models": {name: world[name] for name in ("base", "controlnet", "face_model")},
        "data": {"prepared": world["prepared"], "batch_size": 2, "workers": 0},
        "run": {"output": str(output), "steps": 3, "log_every": 1},
        "projection": {"tokens": 3, "patch_size": 16, "width": 64, "depth": 1, "heads": 1},
        "optimiser": {"learning_rate": 1e-3, "warmup_steps": 0},
    }
    for name, values in sections.items():
        base.setdefault(name, {}).update(values)
    return base


def tiny_config(world: dict[str, str], output: Path = Path("unused"), **sections: Any) -> Config:
    """Return the checked config of `settings`."""
    return make_config(settings(world, output, **sections))


def train_tiny(world: dict[str, str], output: Path, **sections: dict[str, Any]) -> Path:
    """Train with the config of `settings`; return the run's folder."""
    from idpatch_core.training.trainer import train

    return train(tiny_config(world, output, **sections))
