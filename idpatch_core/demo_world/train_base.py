"""Trains the base model from scratch: a small UNet and text encoders of SDXL's structure.

The text encoders are trained together with the UNet, as in Rombach et al., arXiv 2112.10752,
section 3.3.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..training import losses
from ..training.base_model import load_alphas
from ..training.text_encoders import TextEncoders
from .captions import COUNT_PHRASES
from .latents import LatentSet
from .loop import LossTerms, fit
from .people import SHIRTS, WALLS
from .world import BaseSettings

TEXT_WIDTHS = (64, 128)  # of the two encoders, whose outputs are concatenated
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
CAPTION_WORDS = "in front of a an wall wearing shirt shirts people person drawn and with the , ."


def write_tokenizers(base: Path, captions: Iterable[str] = ()) -> int:
    """Write both CLIP tokenizers: words of these and of all short captions are one token.

    Other words are spelt. Returns the size of the vocabulary.
    """
    from transformers.models.clip.tokenization_clip import bytes_to_unicode

    words = {*CAPTION_WORDS.split(), *" ".join(COUNT_PHRASES[:5]).split(), *WALLS, *SHIRTS}
    words.update(*(caption.replace(",", " ").split() for caption in captions))
    letters = list(bytes_to_unicode().values())
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    merges = []
    for word in sorted(words):
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:  # merge from the left
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
    """Make both text encoders for the tokenizers in `base`."""
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


def new_unet(channels: int, widths: tuple[int, ...] = (64, 128, 192)) -> Any:
    """Make a UNet of SDXL's structure: no attention at the first level."""
    from diffusers.models.unets import unet_2d_condition

    network: Any = unet_2d_condition.UNet2DConditionModel  # its hints know tuples of one only
    return network(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 2),
        up_block_types=(*("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
        block_out_channels=widths,
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=tuple(width // 32 for width in widths),  # diffusers: heads
        cross_attention_dim=sum(TEXT_WIDTHS),
        use_linear_projection=True,
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=TEXT_WIDTHS[1] + 6 * 256,
        sample_size=32,
    )


def zero_residual_blocks(unet: Any) -> None:
    """Zero the last layer of every residual block, and of the network.

    Source: Dhariwal and Nichol, arXiv 2105.05233, `zero_module` of their code.
    """
    for name, layer in unet.named_modules():
        if name.endswith(("conv2", "proj_out", "conv_out")):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


class BaseModel(nn.Module):
    """UNet and text encoders as one network, for one optimiser."""

    def __init__(self, unet: Any, text: TextEncoders):
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, noisy: Tensor, timesteps: Tensor, captions: list[str], sizes: Tensor):
        """Predict the noise of latents (B, C, h, w); each different caption is encoded once."""
        unique = sorted(set(captions))
        text, pooled = self.text(unique)
        indices = torch.tensor([unique.index(caption) for caption in captions])
        added = {"text_embeds": pooled[indices], "time_ids": sizes}
        arguments = {"added_cond_kwargs": added, "return_dict": False}
        return self.unet(noisy, timesteps, text[indices], **arguments)[0]


def train_base(
    base: Path, sets: Sequence[LatentSet], settings: BaseSettings, seed: int, precision: str = "no"
) -> None:
    """Train on the latents of one or two sets; write `base`."""
    if (base / "unet" / "config.json").is_file():
        return
    (base / "scheduler").mkdir(parents=True, exist_ok=True)
    (base / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=1))
    write_tokenizers(base, (caption for latents in sets for caption in latents.captions))
    torch.manual_seed(seed)
    unet = new_unet(sets[0].means.shape[1], settings.widths)
    network = BaseModel(unet, new_text_encoders(base))
    zero_residual_blocks(network.unet)
    alphas, kind = load_alphas(str(base))

    def compute_loss(step: int) -> LossTerms:
        random = np.random.default_rng([seed, step, 70])
        means, deviations, captions = sets[0]
        if len(sets) > 1 and random.random() < settings.large_share:
            means, deviations, captions = sets[1]
        batch = settings.batch * sets[0].means[0].numel() // means[0].numel()
        height, width = means.shape[2] * 8, means.shape[3] * 8
        sizes = torch.tensor([[height, width, 0, 0, height, width]]).expand(batch, -1)
        indices = torch.from_numpy(random.integers(len(means), size=batch))
        shape = (2, batch, *means.shape[1:])
        noise, sampled = torch.from_numpy(random.standard_normal(shape, np.float32))
        timesteps = torch.from_numpy(random.integers(1000, size=batch))
        drop = random.random(batch) < 0.1
        x0 = means[indices].float() + deviations[indices].float() * sampled
        texts = ["" if d else captions[i] for d, i in zip(drop, indices.tolist(), strict=True)]
        level = alphas[timesteps]
        noisy = losses.add_noise(x0, noise, level)
        predicted = network(noisy, timesteps, texts, sizes)
        weights = losses.min_snr_weights(level, 5.0, kind)
        return {"denoising": losses.denoising(predicted, noise, weights)}

    weights = base.with_suffix(".safetensors")
    fit(network, compute_loss, weights, settings.steps, 8e-4, 0.998, precision)
    network.text.first.save_pretrained(str(base / "text_encoder"))
    network.text.second.save_pretrained(str(base / "text_encoder_2"))
    network.unet.save_pretrained(str(base / "unet"))  # last: its config marks completion
