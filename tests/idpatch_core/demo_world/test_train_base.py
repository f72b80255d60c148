"""The base model's parts have SDXL's structure."""

from pathlib import Path

import torch

from idpatch_core.demo_world import train_base
from idpatch_core.demo_world.latents import LatentSet
from idpatch_core.demo_world.train_base import (
    new_text_encoders,
    new_unet,
    write_tokenizers,
    zero_residual_blocks,
)
from idpatch_core.demo_world.world import BaseSettings


def test_captions_are_words_and_the_rest_is_spelt(tmp_path: Path):
    write_tokenizers(tmp_path)
    tokenizer = new_text_encoders(tmp_path)._tokenizers[0]
    assert tokenizer.tokenize("two people") == ["two</w>", "people</w>"]
    spelt = tokenizer.tokenize("zebra")
    assert len(spelt) > 1 and tokenizer.unk_token not in spelt


def test_words_of_other_captions_are_one_token_too(tmp_path: Path):
    size = write_tokenizers(tmp_path / "a")
    assert size == write_tokenizers(tmp_path / "b", ["two people in front of a grey wall"])
    assert size < write_tokenizers(tmp_path / "c", ["eight people, the seventh smiling"])
    tokenizer = new_text_encoders(tmp_path / "c")._tokenizers[0]
    assert tokenizer.tokenize("seventh smiling") == ["seventh</w>", "smiling</w>"]


def make_latents(width: int, images: int) -> LatentSet:
    shape = (images, 4, 4, width)
    means = torch.randn(shape, generator=torch.Generator().manual_seed(width))
    return LatentSet(means, torch.full(shape, 0.1), [f"{width} people"] * images)


def test_the_base_model_is_trained_on_both_sets(tmp_path: Path, monkeypatch):
    seen = []

    class Recorder(train_base.BaseModel):
        def forward(self, noisy, timesteps, captions, sizes):
            seen.append((tuple(noisy.shape), sizes[0].tolist(), len(sizes), set(captions)))
            return super().forward(noisy, timesteps, captions, sizes)

    monkeypatch.setattr(train_base, "BaseModel", Recorder)
    settings = BaseSettings(steps=12, batch=4, widths=(32, 64, 64), large_share=0.5)
    sets = [make_latents(8, 6), make_latents(16, 5)]
    train_base.train_base(tmp_path / "base", sets, settings, seed=0)
    assert {shape for shape, *_ in seen} == {(4, 4, 4, 8), (2, 4, 4, 16)}
    for shape, sizes, batch, captions in seen:
        width = shape[3]
        assert sizes == [32, 8 * width, 0, 0, 32, 8 * width] and batch == shape[0]
        assert captions <= {"", f"{width} people"}
    assert (tmp_path / "base" / "unet" / "config.json").is_file()


def test_text_has_sdxl_structure(tmp_path: Path):
    write_tokenizers(tmp_path)
    torch.manual_seed(0)
    with torch.no_grad():
        text, pooled = new_text_encoders(tmp_path)(["two people", "one person"])
    unet = new_unet(8)
    assert text.shape == (2, 77, unet.config.cross_attention_dim)
    assert pooled.shape[1] + 6 * 256 == unet.config.projection_class_embeddings_input_dim
    assert not torch.equal(pooled[0], pooled[1])


def test_zeroed_residual_blocks_give_zero():
    unet = new_unet(8)
    zero_residual_blocks(unet)
    added = {"text_embeds": torch.zeros(1, 128), "time_ids": torch.zeros(1, 6)}
    with torch.no_grad():
        x, text = torch.randn(1, 8, 8, 8), torch.randn(1, 77, 192)
        assert not unet(x, 5, text, added_cond_kwargs=added).sample.any()
