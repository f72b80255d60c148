"""SDXL's two text encoders."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

MAX_TOKENS = 77


class TextEncoders(nn.Module):
    """Both encoders of a base model in diffusers' layout, with their tokenizers."""

    def __init__(self, first: Any, second: Any, tokenizers: tuple[Any, Any]):
        super().__init__()
        self.first, self.second, self._tokenizers = first, second, tokenizers

    def forward(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Return text (B, 77, D) and pooled (B, D') of captions, cut after 77 tokens.

        `text` joins the penultimate layers of both encoders, `pooled` is the second one's, as in
        SDXL (Podell et al., arXiv 2307.01952, section 2.1).
        """
        layers, pooled = [], torch.empty(0)
        encoders = zip((self.first, self.second), self._tokenizers, strict=True)
        for encoder, tokenizer in encoders:
            ids = tokenizer(
                captions,
                padding="max_length",
                max_length=MAX_TOKENS,
                truncation=True,
                return_tensors="pt",
            ).input_ids
            output = encoder(ids.to(encoder.device), output_hidden_states=True)
            layers.append(output.hidden_states[-2])
            pooled = output[0]  # the last one kept is the second's: its projected end token
        return torch.cat(layers, dim=-1), pooled


def load_text_encoders(base: str | Path) -> TextEncoders:
    """Load `text_encoder`, `text_encoder_2`, `tokenizer` and `tokenizer_2` of a base model."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    parts = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    for part in parts:
        if not (Path(base) / part).is_dir():
            raise ValueError(f"base: {base} has no folder {part}.")
    first, second, *folders = (str(Path(base) / part) for part in parts)
    tokenizers = tuple(CLIPTokenizer.from_pretrained(folder) for folder in folders)
    return TextEncoders(
        CLIPTextModel.from_pretrained(first),
        CLIPTextModelWithProjection.from_pretrained(second),
        (tokenizers[0], tokenizers[1]),
    ).eval()
