"""A small SDXL in diffusers' layout, as ComfyUI's MODEL, CLIP, VAE and CONTROL_NET.

It relies on internals of ComfyUI, so it is imported only when a node runs: if one of them is
renamed, the other nodes still work.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import comfy.cldm.cldm
import comfy.clip_model
import comfy.controlnet
import comfy.latent_formats
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch
from safetensors.torch import load
from torch import Tensor, nn

from .model_management import make_patcher

Weights = dict[str, Tensor]


class SmallSDXL(NamedTuple):
    """The parts of a small SDXL, in the order of the node's outputs."""

    model: comfy.model_patcher.ModelPatcher
    clip: comfy.sd.CLIP
    vae: comfy.sd.VAE
    control_net: comfy.controlnet.ControlNet


def load_small_sdxl(folder: Path) -> SmallSDXL:
    """Load a folder written by `idpatch_core.demo_world.package`.

    Raises ValueError if a file is missing.
    """
    config, weights = _read_part(folder, "unet")
    vae_config, vae_weights = _read_part(folder, "vae")
    return SmallSDXL(
        load_unet(config, weights, vae_config["scaling_factor"]),
        load_clip(folder),
        load_vae(vae_config, vae_weights),
        load_control_net(config, _read_part(folder, "controlnet")[1]),
    )


def _read_part(folder: Path, name: str) -> tuple[dict[str, Any], Weights]:
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(f"Demo models: {path} is missing. Install the pack again.")
    return json.loads((folder / f"{name}.json").read_text("utf-8")), read_float32(path)


def read_float32(path: Path) -> Weights:
    """Return the tensors of a .safetensors file in float32."""
    # The file as a whole: safetensors 0.8 leaks 64 bytes for each tensor that it reads from one.
    return {name: weight.float() for name, weight in load(path.read_bytes()).items()}


def unet_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return ComfyUI's settings of an SDXL UNet from its diffusers config."""
    widths, layers = config["block_out_channels"], config["layers_per_block"]
    deep = config["transformer_layers_per_block"]
    attention = ["CrossAttn" in kind for kind in config["down_block_types"]]
    each = [deep] * len(widths) if isinstance(deep, int) else deep
    depths = [depth if attends else 0 for depth, attends in zip(each, attention, strict=True)]
    return {
        "image_size": 32,
        "in_channels": config["in_channels"],
        "out_channels": config["out_channels"],
        "model_channels": widths[0],
        "channel_mult": [width // widths[0] for width in widths],
        "num_res_blocks": [layers] * len(widths),
        "transformer_depth": [depth for depth in depths for _ in range(layers)],
        "transformer_depth_output": [depth for depth in depths for _ in range(layers + 1)],
        "transformer_depth_middle": depths[-1],
        "context_dim": config["cross_attention_dim"],
        "adm_in_channels": config["projection_class_embeddings_input_dim"],
        "num_classes": "sequential",
        "num_head_channels": widths[0] // config["attention_head_dim"][0],
        "use_linear_in_transformer": True,
        "use_spatial_transformer": True,
        "use_temporal_attention": False,
    }


class SmallSDXLConfig(comfy.supported_models.SDXL):
    unet_extra_config = {}  # SDXL's own would force 64 channels a head

    def inpaint_model(self) -> bool:
        return False  # ComfyUI takes every SDXL with more than 4 channels for one


def _set_groups(network: Any, groups: int) -> None:
    """Set the number of groups of all group norms, which ComfyUI builds with SDXL's 32."""
    for layer in network.modules():
        if isinstance(layer, nn.GroupNorm):
            layer.num_groups = groups


def load_unet(
    config: dict[str, Any], weights: Weights, scaling_factor: float | None = None
) -> comfy.model_patcher.ModelPatcher:
    """Build a UNet of diffusers as a MODEL.

    `scaling_factor` is that of a VAE of its own; without it the latents are SDXL's.
    """
    settings = unet_settings(config)
    sdxl: Any = SmallSDXLConfig(dict(settings))
    if scaling_factor is not None:
        sdxl.latent_format = comfy.latent_formats.LatentFormat()
        sdxl.latent_format.scale_factor = scaling_factor
        sdxl.latent_format.latent_channels = settings["in_channels"]
    sdxl.set_inference_dtype(torch.float32, None)
    names = comfy.utils.unet_to_diffusers(settings)
    weights = {names[name]: weight for name, weight in weights.items()}
    model = sdxl.get_model(weights, "", device=comfy.model_management.unet_offload_device())
    model.diffusion_model.load_state_dict(weights)
    _set_groups(model.diffusion_model, config["norm_num_groups"])
    return make_patcher(model)


def load_control_net(config: dict[str, Any], weights: Weights) -> comfy.controlnet.ControlNet:
    """Build a ControlNet of diffusers from the config of its UNet."""
    network = new_control_net(config)
    settings = unet_settings(config)
    names = dict(comfy.utils.unet_to_diffusers(settings))
    skips = 1 + sum(n + 1 for n in settings["num_res_blocks"]) - 1
    for kind in (".weight", ".bias"):
        names[f"controlnet_mid_block{kind}"] = f"middle_block_out.0{kind}"
        names[f"controlnet_cond_embedding.conv_in{kind}"] = f"input_hint_block.0{kind}"
        names[f"controlnet_cond_embedding.conv_out{kind}"] = f"input_hint_block.14{kind}"
        for i in range(6):
            block = f"controlnet_cond_embedding.blocks.{i}{kind}"
            names[block] = f"input_hint_block.{2 + 2 * i}{kind}"
        for i in range(skips):
            names[f"controlnet_down_blocks.{i}{kind}"] = f"zero_convs.{i}.0{kind}"
    network.load_state_dict({names[name]: weight for name, weight in weights.items()})
    _set_groups(network, config["norm_num_groups"])
    device = comfy.model_management.get_torch_device()
    return comfy.controlnet.ControlNet(network, load_device=device)


def new_control_net(config: dict[str, Any]) -> comfy.cldm.cldm.ControlNet:
    """Return ComfyUI's ControlNet for a UNet's diffusers config, without weights."""
    unused = ("out_channels", "transformer_depth_output")
    return comfy.cldm.cldm.ControlNet(
        **{key: value for key, value in unet_settings(config).items() if key not in unused},
        hint_channels=3,
        dtype=torch.float32,
        device=comfy.model_management.unet_offload_device(),
        operations=comfy.ops.disable_weight_init,
    )


def load_vae(config: dict[str, Any], weights: Weights) -> comfy.sd.VAE:
    """Build a VAE of diffusers."""
    widths = config["block_out_channels"]
    shape = {
        "double_z": True,
        "z_channels": config["latent_channels"],
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": widths[0],
        "ch_mult": [width // widths[0] for width in widths],
        "num_res_blocks": config["layers_per_block"],
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    settings = {"params": {"ddconfig": shape, "embed_dim": config["latent_channels"]}}
    vae = comfy.sd.VAE(sd=weights, config=settings, dtype=torch.float32)
    _set_groups(vae.first_stage_model, config["norm_num_groups"])
    vae.latent_channels = config["latent_channels"]
    return vae


def load_clip(folder: Path) -> comfy.sd.CLIP:
    """Load the two text encoders and the tokenizer of a folder."""
    encoders = {
        "clip_l": _read_part(folder, "text_encoder"),
        "clip_g": _read_part(folder, "text_encoder_2"),
    }
    vocabulary = str(folder / "tokenizer")

    class Tokenizer(comfy.sdxl_clip.SDXLTokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data={}):  # noqa: B006 as ComfyUI's
            self.clip_l, self.clip_g = (
                comfy.sd1_clip.SDTokenizer(
                    vocabulary,
                    pad_with_end=name == "clip_l",
                    embedding_directory=embedding_directory,
                    embedding_size=encoders[name][0]["hidden_size"],
                    embedding_key=name,
                )
                for name in ("clip_l", "clip_g")
            )

    class Encoders(comfy.sdxl_clip.SDXLClipModel):
        def __init__(self, device="cpu", dtype=None, model_options={}):  # noqa: B006 as ComfyUI's
            nn.Module.__init__(self)  # SDXLClipModel's own would allocate the full-size encoders
            self.clip_l, self.clip_g = (
                _text_encoder(encoders[name][0], name == "clip_g", device, dtype, model_options)
                for name in ("clip_l", "clip_g")
            )
            self.dtypes = {dtype}

    options = {"dtype": torch.float32}
    target = comfy.supported_models_base.ClipTarget(Tokenizer, Encoders)
    clip = comfy.sd.CLIP(target, model_options=options)
    for name, (_, weights) in encoders.items():
        getattr(clip.cond_stage_model, name).transformer.load_state_dict(weights, strict=False)
    return clip


class SmallTextModel(comfy.clip_model.CLIPTextModel):
    def __init__(self, config_dict, dtype, device, operations):
        super().__init__(config_dict, dtype, device, operations)
        self.text_model.embeddings.token_embedding = operations.Embedding(
            config_dict["vocab_size"], config_dict["hidden_size"], dtype=dtype, device=device
        )


def _text_encoder(
    config: dict[str, Any], pooled: bool, device: Any, dtype: Any, model_options: dict[str, Any]
) -> comfy.sd1_clip.SDClipModel:
    end = config["eos_token_id"]
    return comfy.sd1_clip.SDClipModel(
        device=device,
        dtype=dtype,
        layer="hidden",
        layer_idx=-2,
        textmodel_json_config=dict(config),
        model_class=SmallTextModel,
        special_tokens={"start": end - 1, "end": end, "pad": 0 if pooled else end},
        layer_norm_hidden_state=False,
        return_projected_pooled=pooled,
        model_options=model_options,
    )
