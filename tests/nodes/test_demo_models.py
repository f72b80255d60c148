"""The demo world's networks give in ComfyUI what they gave in training."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from training_world import SCHEDULER

from idpatch_core.arcface import IRSE50
from idpatch_core.canvas import Hint
from idpatch_core.checkpoint import write_id_patch
from idpatch_core.demo_world.package import MAX_BYTES, package_world
from idpatch_core.demo_world.train_base import new_text_encoders, new_unet, write_tokenizers
from idpatch_core.demo_world.train_vae import new_vae
from idpatch_core.face_detector import YUNET_FILE
from idpatch_core.identity import Identity
from idpatch_core.layout import Point
from idpatch_core.projection import IDPatches, MLPProjection, project
from idpatch_core.training.base_model import load_alphas
from idpatch_core.training.config import SamplingConfig
from idpatch_core.training.networks import Condition, Networks
from idpatch_core.training.sampling import sample

MODULE = "comfyui_id_patch.nodes.demo_models"
WIDTH, HEIGHT = 128, 64


def halved(network: Any) -> Any:
    """Round weights to what fp16 can hold, so that packing loses nothing."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.half().float())
    return network.eval()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained world, as its command leaves it."""
    import json

    from diffusers import ControlNetModel

    folder = tmp_path_factory.mktemp("world")
    base, export = folder / "base", folder / "stage1" / "export"
    write_tokenizers(base)
    torch.manual_seed(0)
    text = halved(new_text_encoders(base))
    text.first.save_pretrained(str(base / "text_encoder"))
    text.second.save_pretrained(str(base / "text_encoder_2"))
    unet = halved(new_unet(8))
    unet.save_pretrained(str(base / "unet"))
    control = ControlNetModel.from_unet(unet)
    for name, weight in control.named_parameters():
        if name.startswith("controlnet_"):
            torch.nn.init.normal_(weight, std=0.05)
    halved(control).save_pretrained(str(export / "ControlNetModel"))
    vae = halved(new_vae(8))
    vae.register_to_config(scaling_factor=0.5)
    vae.save_pretrained(str(base / "vae"))
    (base / "scheduler").mkdir()
    (base / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    halves = (
        halved(MLPProjection(512, 3, 32**2, hidden=8)),
        halved(MLPProjection(512, 4, 192, hidden=8)),
    )
    write_id_patch(export / "id-patch.safetensors", *(half.state_dict() for half in halves))
    (folder / "faces").mkdir()
    face = IRSE50([(8, 8), (8, 16), (16, 32), (32, 48)])
    for name in ("conditioning", "scoring"):
        save_file(face.state_dict(), folder / "faces" / f"{name}.safetensors")
    (folder / "faces/detector.onnx").write_bytes(YUNET_FILE.read_bytes())
    return folder


@pytest.fixture(scope="module")
def folder(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("packed")
    assert package_world(world, target, "stage1") < 60e6
    return target


@pytest.fixture(scope="module")
def loaded(comfy: Any, folder: Path) -> Any:
    return import_module(MODULE).load_demo_models(folder)


CAPTIONS = ("two people in front of a blue wall", "zebra")


@torch.inference_mode()
def test_text_is_that_of_training(loaded: Any, world: Path) -> None:
    from idpatch_core.training.text_encoders import load_text_encoders

    expected, expected_pooled = load_text_encoders(world / "base")([*CAPTIONS])
    for i, caption in enumerate(CAPTIONS):
        tokens = loaded.clip.tokenize(caption)
        text, pooled = loaded.clip.encode_from_tokens(tokens, return_pooled=True)
        torch.testing.assert_close(text[0], expected[i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(pooled[0], expected_pooled[i], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_pictures_are_those_of_training(loaded: Any, world: Path) -> None:
    from idpatch_core.training.base_model import load_vae

    latent = torch.randn(1, 8, 8, 16, generator=torch.Generator().manual_seed(0))
    expected = load_vae(str(world / "base")).decode(latent).sample / 2 + 0.5
    picture = loaded.vae.decode(latent)
    torch.testing.assert_close(picture.permute(0, 3, 1, 2), expected.clamp(0, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("guide_patches", [False, True])
@torch.inference_mode()
def test_the_latent_is_that_of_training(
    comfy: Any, loaded: Any, world: Path, monkeypatch: pytest.MonkeyPatch, guide_patches: bool
) -> None:
    import comfy.sample as comfy_sample
    from diffusers import ControlNetModel, UNet2DConditionModel

    from idpatch_core.checkpoint import read_id_patch
    from idpatch_core.projection import build_projection

    export = world / "stage1" / "export"
    unet = UNet2DConditionModel.from_pretrained(str(world / "base" / "unet"))
    control = ControlNetModel.from_pretrained(str(export / "ControlNetModel"))
    halves = [build_projection(s) for s in read_id_patch(export / "id-patch.safetensors")[:2]]
    networks = Networks(unet, control, *halves).eval()
    torch.manual_seed(1)
    embeddings = torch.nn.functional.normalize(torch.randn(2, 512), dim=-1)
    noise, base = torch.randn(1, 8, 8, 16), torch.rand(1, 3, HEIGHT, WIDTH)
    points = torch.tensor([[[30.0, 30.0], [90.0, 20.0]]])
    texts = [
        loaded.clip.encode_from_tokens(loaded.clip.tokenize(c), return_pooled=True)
        for c in CAPTIONS
    ]
    (text, pooled), (negative, negative_pooled) = texts
    sizes = torch.tensor([[HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]], dtype=torch.float32)
    people = embeddings[None]
    shown = Condition(text, pooled, sizes, base, points, people, people, torch.ones(1))
    how = SamplingConfig(
        steps=4, cfg=2.5, injection_ratio=1.0, control_strength=1.0, guide_patches=guide_patches
    )
    alphas, kind = load_alphas(str(world / "base"))
    own = sample(networks, shown, negative, negative_pooled, noise, alphas, kind, how)

    found = project(*halves, embeddings)
    pair = tuple(Identity(n, e) for n, e in zip(("a", "b"), embeddings, strict=True))
    monkeypatch.setattr(comfy_sample, "prepare_noise", lambda *_: noise.clone())
    result = comfy.nodes.sampler.IDPatchSampler.execute(
        model=loaded.model,
        positive=[[text, {"pooled_output": pooled}]],
        negative=[[negative, {"pooled_output": negative_pooled}]],
        control_net=loaded.control_net,
        id_patches=IDPatches(*found, pair),
        id_hint=Hint(
            networks.hint(shown), base, tuple(Point(*p) for p in points[0].tolist()), ("a", "b")
        ),
        seed=0,
        steps=4,
        cfg=2.5,
        sampler_name="euler",
        scheduler="reference",
        injection_ratio=1.0,
        control_strength=1.0,
        guide_patches=guide_patches,
    ).args[0]["samples"]
    latent = loaded.model.model.process_latent_in(result)
    assert (latent - own).abs().max() < 1e-4 * own.abs().max()


def test_the_node_gives_all_six(comfy: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo_models = import_module(MODULE)

    monkeypatch.setattr(demo_models, "FOLDER", folder)
    node = demo_models.IDPatchLoadDemoModels
    _, clip, _, _, projections, face_model = node.execute().args
    assert len(node.define_schema().outputs) == 6
    crop = torch.zeros(112, 112, 3, dtype=torch.uint8)
    embedding = face_model.patcher.model(crop.permute(2, 0, 1)[None] / 127.5 - 1)[0]
    person = comfy.idpatch_core.identity.Identity("drawn", embedding, crop)
    patches = comfy.nodes.model.IDPatchBuilder.execute(projections, [person]).args[0]
    assert patches.patches.shape == (1, 3, 32, 32)
    text = clip.encode_from_tokens(clip.tokenize("one person"))
    assert patches.tokens.shape[-1] == text.shape[-1]


def test_a_missing_part_is_named(comfy: Any, tmp_path: Path, world: Path) -> None:
    load_demo_models = import_module(MODULE).load_demo_models
    with pytest.raises(ValueError, match=r"unet\.safetensors is missing"):
        load_demo_models(tmp_path)
    with pytest.raises(ValueError, match=r"stage2.* is missing"):
        package_world(world, tmp_path, "stage2")


def test_the_packs_own_models_and_portraits_are_there(comfy: Any) -> None:
    demo_models = import_module(MODULE)
    files = [file for file in demo_models.FOLDER.rglob("*") if file.is_file()]
    assert 1e6 < sum(file.stat().st_size for file in files) < MAX_BYTES
    model, *_ = demo_models.IDPatchLoadDemoModels.execute().args
    assert model.model.latent_format.latent_channels == 12
    portrait = demo_models.IDPatchLoadDemoPortrait
    (person, *_) = portrait.define_schema().inputs[0].options
    assert portrait.execute(person).args[0].shape == (1, 128, 128, 3)
    with pytest.raises(ValueError, match="is missing"):
        portrait.execute("Nobody")
