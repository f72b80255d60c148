"""The demo: an SDXL of a few megabytes that draws people, what belongs to it, and portraits."""

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
import numpy as np
import torch
from comfy_api.v0_0_2 import io, ui
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from ..idpatch_core.face_detector import load_detector
from . import sockets
from .faces import load_face_model
from .model import load_id_patch

DEMO = Path(__file__).parents[1] / "idpatch_core" / "demo"  # comes with the pack
DETECTOR = "YuNet for drawn faces"
FOLDER, PORTRAITS = DEMO / "models", DEMO / "portraits"


class DemoModels(NamedTuple):
    """What the node gives beside the ID-Patch model and the face model."""

    model: comfy.model_patcher.ModelPatcher
    clip: comfy.sd.CLIP
    vae: comfy.sd.VAE
    control_net: comfy.controlnet.ControlNet


def load_demo_models(folder: Path) -> DemoModels:
    """Load a folder written by `idpatch_core.demo_world.package`."""
    config, weights = _read(folder, "unet")
    settings = unet_settings(config)
    groups = config["norm_num_groups"]
    vae_config, vae_weights = _read(folder, "vae")
    names = comfy.utils.unet_to_diffusers(settings)
    return DemoModels(
        _load_unet(settings, names, weights, vae_config, groups),
        _load_clip(folder),
        _load_vae(vae_config, vae_weights),
        _load_control_net(settings, names, _read(folder, "controlnet")[1], groups),
    )


def _read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(f"Demo models: {path} is missing. Install the pack again.")
    weights = {key: weight.float() for key, weight in load_file(path).items()}
    return json.loads((folder / f"{name}.json").read_text("utf-8")), weights


def unet_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Say a diffusers config of an SDXL UNet in ComfyUI's own terms."""
    widths, layers = config["block_out_channels"], config["layers_per_block"]
    deep = config["transformer_layers_per_block"]
    attends = ["CrossAttn" in kind for kind in config["down_block_types"]]
    each = [deep] * len(widths) if isinstance(deep, int) else deep
    depths = [depth if there else 0 for depth, there in zip(each, attends, strict=True)]
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


class DemoSDXL(comfy.supported_models.SDXL):
    unet_extra_config = {}  # SDXL's own would force 64 channels a head

    def inpaint_model(self) -> bool:
        return False  # ComfyUI takes every SDXL with more than 4 channels for one


def _set_groups(network: Any, groups: int) -> None:
    """Let group norms have `groups` groups, where ComfyUI builds them with SDXL's 32."""
    for layer in network.modules():
        if isinstance(layer, nn.GroupNorm):
            layer.num_groups = groups


def _load_unet(
    settings: dict[str, Any],
    names: dict[str, str],
    weights: dict[str, Tensor],
    vae_config: dict[str, Any],
    groups: int,
) -> comfy.model_patcher.ModelPatcher:
    config: Any = DemoSDXL(dict(settings))
    config.latent_format = comfy.latent_formats.LatentFormat()
    config.latent_format.scale_factor = vae_config["scaling_factor"]
    config.latent_format.latent_channels = settings["in_channels"]
    config.set_inference_dtype(torch.float32, None)
    weights = {names[name]: weight for name, weight in weights.items()}
    offload = comfy.model_management.unet_offload_device()
    model = config.get_model(weights, "", device=offload)
    model.diffusion_model.load_state_dict(weights)
    _set_groups(model.diffusion_model, groups)
    device = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(model, device, offload)


def _load_control_net(
    settings: dict[str, Any], names: dict[str, str], weights: dict[str, Tensor], groups: int
) -> comfy.controlnet.ControlNet:
    unused = ("out_channels", "transformer_depth_output")
    network = comfy.cldm.cldm.ControlNet(
        **{key: value for key, value in settings.items() if key not in unused},
        hint_channels=3,
        dtype=torch.float32,
        device=comfy.model_management.unet_offload_device(),
        operations=comfy.ops.disable_weight_init,
    )
    names = dict(names)
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
    _set_groups(network, groups)
    device = comfy.model_management.get_torch_device()
    return comfy.controlnet.ControlNet(network, load_device=device)


def _load_vae(config: dict[str, Any], weights: dict[str, Tensor]) -> comfy.sd.VAE:
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


def _load_clip(folder: Path) -> comfy.sd.CLIP:
    encoders = {"clip_l": _read(folder, "text_encoder"), "clip_g": _read(folder, "text_encoder_2")}
    words = str(folder / "tokenizer")

    class Tokenizer(comfy.sdxl_clip.SDXLTokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data={}):  # noqa: B006 as ComfyUI's
            self.clip_l, self.clip_g = (
                comfy.sd1_clip.SDTokenizer(
                    words,
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


class DemoTextModel(comfy.clip_model.CLIPTextModel):
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
        model_class=DemoTextModel,
        special_tokens={"start": end - 1, "end": end, "pad": 0 if pooled else end},
        layer_norm_hidden_state=False,
        return_projected_pooled=pooled,
        model_options=model_options,
    )


class IDPatchLoadDemoModels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchLoadDemoModels",
            display_name="Load Demo Models",
            category=sockets.CATEGORY,
            description="Loads the small models that come with the pack and draw cartoon people, "
            "to try everything and to check the installation without large downloads.",
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The small SDXL."),
                io.Clip.Output(
                    display_name="clip",
                    tooltip="Its text encoders; they know captions such as `two people in front of "
                    "a blue wall, wearing red shirts`.",
                ),
                io.Vae.Output(display_name="vae", tooltip="Its VAE."),
                io.ControlNet.Output(
                    display_name="control_net", tooltip="Its ControlNet of ID-Patch."
                ),
                sockets.IDPatchModel.Output(
                    display_name="idpatch_model", tooltip="Its projections."
                ),
                sockets.FaceModel.Output(
                    display_name="face_model",
                    tooltip="Finds and recognises drawn people; it knows no photographs.",
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        projections = load_id_patch(FOLDER / "id-patch.safetensors")
        detector = load_detector(FOLDER / "detector.onnx")
        face_model = load_face_model(FOLDER / "face.safetensors", detector, DETECTOR)
        return io.NodeOutput(*load_demo_models(FOLDER), projections, face_model)


class IDPatchLoadDemoPortrait(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchLoadDemoPortrait",
            display_name="Load Demo Portrait",
            category=sockets.CATEGORY,
            description="Loads a drawn portrait that comes with the pack. The demo models were not "
            "trained on any of these people.",
            inputs=[
                io.Combo.Input(
                    "person",
                    options=sorted(path.stem for path in PORTRAITS.glob("*.png")),
                    tooltip="Who is loaded.",
                )
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The portrait, for a Face Encoder.")
            ],
        )

    @classmethod
    def execute(cls, person: str) -> io.NodeOutput:
        path = PORTRAITS / f"{person}.png"
        if not path.is_file():
            raise ValueError(f"person: {path} is missing. Install the pack again.")
        image = read_picture(path)
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))


def read_picture(path: Path) -> Tensor:
    """Return a picture file as an IMAGE (1, H, W, 3)."""
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB")))[None].float() / 255
