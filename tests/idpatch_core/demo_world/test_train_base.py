"""The base model's parts have SDXL's structure."""

from pathlib import Path

import torch

from idpatch_core.demo_world.train_base import (
    new_text_encoders,
    new_unet,
    write_tokenizers,
    zero_residual_blocks,
)


def test_captions_are_words_and_the_rest_is_spelt(tmp_path: Path):
    write_tokenizers(tmp_path)
    tokenizer = new_text_encoders(tmp_path)._tokenizers[0]
    assert tokenizer.tokenize("two people") == ["two</w>", "people</w>"]
    spelt = tokenizer.tokenize("zebra")
    assert len(spelt) > 1 and tokenizer.unk_token not in spelt


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
