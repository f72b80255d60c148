"""An SDXL of a few megabytes: the same sockets, widths and keys, with tiny layers."""

from typing import Any

import comfy.clip_model
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch
from torch import nn

# What `comfy.model_detection` finds in the stand-in UNet; `EXTRA` it cannot see from the shapes.
UNET: dict[str, Any] = {
    "in_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 1, 1],
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    "transformer_depth_middle": 2,
    "context_dim": 2048,
    "adm_in_channels": 2816,
    "use_linear_in_transformer": True,
    "use_temporal_attention": False,
}
EXTRA: dict[str, Any] = {"num_heads": -1, "num_head_channels": 16}

VOCABULARY = 512  # of CLIP's 49408 words, so that the embeddings stay small
START, END = VOCABULARY - 2, VOCABULARY - 1
TEXT_MODEL = {
    "num_hidden_layers": 3,  # the penultimate layer is read, and ComfyUI needs one before it
    "intermediate_size": 64,
    "max_position_embeddings": 77,
    "eos_token_id": END,
    "hidden_act": "gelu",
}
CLIP_L = {**TEXT_MODEL, "hidden_size": 768, "num_attention_heads": 12}
CLIP_G = {**TEXT_MODEL, "hidden_size": 1280, "num_attention_heads": 20}


class TinyTextModel(comfy.clip_model.CLIPTextModel):
    def __init__(self, config_dict, dtype, device, operations):
        super().__init__(config_dict, dtype, device, operations)
        self.text_model.embeddings.token_embedding = operations.Embedding(
            VOCABULARY, config_dict["hidden_size"], dtype=dtype, device=device
        )


def text_encoder(config: dict, pad: int, device, dtype, model_options):
    return comfy.sd1_clip.SDClipModel(
        device=device,
        dtype=dtype,
        layer="hidden",
        layer_idx=-2,
        textmodel_json_config=dict(config),
        model_class=TinyTextModel,
        special_tokens={"start": START, "end": END, "pad": pad},
        layer_norm_hidden_state=False,
        model_options=model_options,
    )


class TinySDXLClip(comfy.sdxl_clip.SDXLClipModel):
    def __init__(self, device="cpu", dtype=None, model_options={}):  # noqa: B006 as ComfyUI's
        nn.Module.__init__(self)  # SDXLClipModel's own would allocate the full-size encoders
        self.clip_l = text_encoder(CLIP_L, END, device, dtype, model_options)
        self.clip_g = text_encoder(CLIP_G, 0, device, dtype, model_options)
        self.dtypes = {dtype}


class TinyTokenizer(comfy.sdxl_clip.SDXLTokenizer):
    """SDXL's own tokenizer, with its words folded into the small vocabulary."""

    def tokenize_with_weights(self, text, return_word_ids=False, **kwargs):
        tokens = super().tokenize_with_weights(text, return_word_ids, **kwargs)
        return {
            encoder: [[(fold(token), *rest) for token, *rest in chunk] for chunk in chunks]
            for encoder, chunks in tokens.items()
        }


def fold(token):
    if isinstance(token, int) and token >= VOCABULARY:
        return {49406: START, 49407: END}.get(token, token % START)
    return token


class TinySDXL(comfy.supported_models.SDXL):
    unet_config = {
        key: UNET[key]
        for key in ("model_channels", "transformer_depth", "context_dim", "adm_in_channels")
    }
    unet_extra_config = EXTRA
    supported_inference_dtypes = [torch.float32]

    def process_clip_state_dict(self, state_dict):
        encoders = {"conditioner.embedders.0.": "clip_l.", "conditioner.embedders.1.": "clip_g."}
        return comfy.utils.state_dict_prefix_replace(state_dict, encoders, filter_keys=True)

    def clip_target(self, state_dict={}):  # noqa: B006 as ComfyUI's
        return comfy.supported_models_base.ClipTarget(TinyTokenizer, TinySDXLClip)


def register() -> None:
    """Let ComfyUI recognise the stand-in UNet and ControlNet."""
    comfy.supported_models.models.append(TinySDXL)
