"""An untrained demo world, the folder that its networks are packed to, and a small face model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from face_models import add_folder, load
from face_weights import formula_state
from safetensors.torch import save_file
from training_world import SCHEDULER

from idpatch_core.arcface import IRSE50
from idpatch_core.checkpoint import write_id_patch
from idpatch_core.demo_world.package import package_world
from idpatch_core.demo_world.train_base import new_text_encoders, new_unet, write_tokenizers
from idpatch_core.demo_world.train_vae import new_vae
from idpatch_core.face_detector import YUNET_FILE
from idpatch_core.projection import MLPProjection


def rounded(network: Any) -> Any:
    """Round weights to what fp16 can hold, so that packing loses nothing."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.half().float())
    return network.eval()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained world, as its command leaves it."""
    from diffusers import ControlNetModel

    folder = tmp_path_factory.mktemp("world")
    base, export = folder / "base", folder / "stage1" / "export"
    write_tokenizers(base)
    torch.manual_seed(0)
    text = rounded(new_text_encoders(base))
    text.first.save_pretrained(str(base / "text_encoder"))
    text.second.save_pretrained(str(base / "text_encoder_2"))
    unet = rounded(new_unet(8))
    unet.save_pretrained(str(base / "unet"))
    control = ControlNetModel.from_unet(unet)
    for name, weight in control.named_parameters():
        if name.startswith("controlnet_"):
            torch.nn.init.normal_(weight, std=0.05)
    rounded(control).save_pretrained(str(export / "ControlNetModel"))
    vae = rounded(new_vae(8))
    vae.register_to_config(scaling_factor=0.5)
    vae.save_pretrained(str(base / "vae"))
    (base / "scheduler").mkdir()
    (base / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    projections = (
        rounded(MLPProjection(512, 3, 32**2, hidden=8)),
        rounded(MLPProjection(512, 4, 192, hidden=8)),
    )
    write_id_patch(
        export / "id-patch.safetensors", *(network.state_dict() for network in projections)
    )
    (folder / "faces").mkdir()
    face = IRSE50([(8, 8), (8, 16), (16, 32), (32, 48)])
    for name in ("conditioning", "scoring"):
        save_file(face.state_dict(), folder / "faces" / f"{name}.safetensors")
    (folder / "faces/detector.onnx").write_bytes(YUNET_FILE.read_bytes())
    return folder


@pytest.fixture(scope="session")
def folder(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("packed")
    assert package_world(world, target, "stage1") < 60e6
    return target


@pytest.fixture
def recognition(comfy, tmp_path):
    """A folder for face recognition, empty."""
    yield from add_folder("facexlib", tmp_path)


@pytest.fixture
def small(recognition):
    """A small network of IR-SE50's kind, which gives as many numbers."""
    with torch.device("meta"):
        state = IRSE50(((8, 8), (8, 16), (16, 32), (32, 32)), 512).state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    save_file(formula_state(shapes), recognition / "small_arcface.safetensors")
    return "small_arcface.safetensors"


@pytest.fixture
def face_model(comfy, small):
    return load(comfy, small)
