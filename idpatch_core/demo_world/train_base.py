"""Trains the base model: SDXL's UNet and two text encoders in small, from scratch and together.

That the text encoders learn with the UNet is as in Rombach et al., arXiv 2112.10752, section 3.3.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..training import losses
from ..training.base_model import load_alphas
from ..training.text_encoders import TextEncoders
from .loop import Losses, fit
from .scenes import COUNTS, SHIRTS, WALLS

WIDTHS = (64, 128, 192)  # multiples of the first, which ComfyUI wants
TEXT_WIDTHS = (64, 128)  # of both encoders; the UNet sees them side by side
SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
WORDS = "in front of a an wall wearing shirt shirts people person drawn and with the , ."


def write_tokenizers(base: Path) -> int:
    """Write a CLIP tokenizer that knows our captions' words, and spells all others; its size."""
    from transformers.models.clip.tokenization_clip import bytes_to_unicode

    known = {*WORDS.split(), *" ".join(COUNTS).split(), *WALLS, *SHIRTS}
    letters = list(bytes_to_unicode().values())
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    merges = []
    for word in sorted(known):
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:  # join from the left
            merge, joined = f"{parts[0]} {parts[1]}", parts[0] + parts[1]
            if merge not in merges:
                merges.append(merge)
                vocabulary.append(joined)
            parts = [joined, *parts[2:]]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    numbers = {token: number for number, token in enumerate(dict.fromkeys(vocabulary))}
    for folder, padding in (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!")):
        (base / folder).mkdir(parents=True, exist_ok=True)
        (base / folder / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False), "utf-8")
        header = "#version: 0.2\n"
        (base / folder / "merges.txt").write_text(header + "\n".join(merges) + "\n", "utf-8")
        settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}
        settings |= {"pad_token": padding, "unk_token": "<|endoftext|>"}
        (base / folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return len(numbers)


def new_text_encoders(base: Path) -> TextEncoders:
    """Make both encoders for the tokenizers that lie in the base."""
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
    )

    tokenizers = [
        CLIPTokenizer.from_pretrained(str(base / n)) for n in ("tokenizer", "tokenizer_2")
    ]
    size, end = len(tokenizers[0]), tokenizers[0].eos_token_id
    configs = [
        CLIPTextConfig(
            vocab_size=size,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=3,
            num_attention_heads=width // 32,
            projection_dim=width,
            hidden_act=activation,
            bos_token_id=end - 1,
            eos_token_id=end,
        )
        for width, activation in zip(TEXT_WIDTHS, ("quick_gelu", "gelu"), strict=True)
    ]
    first, second = CLIPTextModel(configs[0]), CLIPTextModelWithProjection(configs[1])
    return TextEncoders(first, second, (tokenizers[0], tokenizers[1]))


def new_unet(channels: int) -> Any:
    """Make a UNet of SDXL's structure: the first level does not attend."""
    from diffusers.models.unets import unet_2d_condition

    network: Any = unet_2d_condition.UNet2DConditionModel  # its hints know tuples of one only
    return network(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 2),
        up_block_types=(*("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
        block_out_channels=WIDTHS,
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=tuple(width // 32 for width in WIDTHS),  # diffusers means heads
        cross_attention_dim=sum(TEXT_WIDTHS),
        use_linear_projection=True,
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=TEXT_WIDTHS[1] + 6 * 256,
        sample_size=32,
    )


def prepare_weights(unet: Any) -> None:
    """Let every residual block, and the network, begin with nothing added.

    Source: Dhariwal and Nichol, arXiv 2105.05233, `zero_module` of their code.
    """
    for name, layer in unet.named_modules():
        if name.endswith(("conv2", "proj_out", "conv_out")):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


class Base(nn.Module):
    def __init__(self, unet: Any, text: TextEncoders):
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, noisy: Tensor, timesteps: Tensor, captions: list[str], sizes: Tensor):
        unique = sorted(set(captions))
        text, pooled = self.text(unique)
        which = torch.tensor([unique.index(caption) for caption in captions])
        added = {"text_embeds": pooled[which], "time_ids": sizes}
        arguments = {"added_cond_kwargs": added, "return_dict": False}
        return self.unet(noisy, timesteps, text[which], **arguments)[0]


def train_base(
    base: Path,
    latents: tuple[Tensor, Tensor],
    captions: list[str],
    steps: int,
    batch: int,
    seed: int,
    precision: str = "no",
) -> None:
    """Train on scaled latents' means and deviations (N, C, h, w) and captions; write `base`."""
    if (base / "unet" / "config.json").is_file():
        return
    (base / "scheduler").mkdir(parents=True, exist_ok=True)
    (base / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=1))
    write_tokenizers(base)
    torch.manual_seed(seed)
    means, deviations = latents
    network = Base(new_unet(means.shape[1]), new_text_encoders(base))
    prepare_weights(network.unet)
    alphas, kind = load_alphas(str(base))
    height, width = means.shape[2] * 8, means.shape[3] * 8
    sizes = torch.tensor([[height, width, 0, 0, height, width]]).expand(batch, -1)

    def loss(step: int) -> Losses:
        random = np.random.default_rng([seed, step, 70])
        which = torch.from_numpy(random.integers(len(means), size=batch))
        shape = (2, batch, *means.shape[1:])
        noise, sampled = torch.from_numpy(random.standard_normal(shape, np.float32))
        timesteps = torch.from_numpy(random.integers(1000, size=batch))
        drop = random.random(batch) < 0.1
        x0 = means[which].float() + deviations[which].float() * sampled
        texts = ["" if d else captions[i] for d, i in zip(drop, which.tolist(), strict=True)]
        level = alphas[timesteps]
        noisy = losses.add_noise(x0, noise, level)
        predicted = network(noisy, timesteps, texts, sizes)
        weights = losses.min_snr_weights(level, 5.0, kind)
        return {"denoising": losses.denoising(predicted, noise, weights)}

    fit(network, loss, base.with_suffix(".safetensors"), steps, 8e-4, 0.998, precision)
    network.text.first.save_pretrained(str(base / "text_encoder"))
    network.text.second.save_pretrained(str(base / "text_encoder_2"))
    network.unet.save_pretrained(str(base / "unet"))  # last: its config says that all is there
