"""The demo world's networks give in ComfyUI what they gave in training."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from idpatch_core.canvas import Hint
from idpatch_core.demo_world.package import package_world
from idpatch_core.demo_world.train_base import new_unet
from idpatch_core.demo_world.train_vae import new_vae
from idpatch_core.demo_world.world import RECIPES, read_world
from idpatch_core.identity import Identity
from idpatch_core.layout import Point
from idpatch_core.projection import IDPatches, project
from idpatch_core.training.base_model import load_alphas
from idpatch_core.training.config import SamplingConfig
from idpatch_core.training.networks import Condition, Networks
from idpatch_core.training.sampling import sample

MODULE = "comfyui_id_patch.nodes.small_sdxl"
WIDTH, HEIGHT = 128, 64


@pytest.fixture(scope="module")
def loaded(comfy: Any, folder: Path) -> Any:
    return import_module(MODULE).load_small_sdxl(folder)


CAPTIONS = ("two people in front of a blue wall", "zebra")


def test_reading_weights_again_takes_no_memory(comfy: Any, tmp_path: Path):
    file, tensors = tmp_path / "many.safetensors", 1000
    save_file({f"{i}": torch.full((4,), float(i)) for i in range(tensors)}, file)
    read = import_module(MODULE).read_float32
    assert read(file)["7"].tolist() == [7.0] * 4
    before = sys.getallocatedblocks()
    for _ in range(3):
        read(file)
    assert sys.getallocatedblocks() - before < tensors / 2


@torch.inference_mode()
def test_text_is_that_of_training(loaded: Any, world: Path):
    from idpatch_core.training.text_encoders import load_text_encoders

    expected, expected_pooled = load_text_encoders(world / "base")([*CAPTIONS])
    for i, caption in enumerate(CAPTIONS):
        tokens = loaded.clip.tokenize(caption)
        text, pooled = loaded.clip.encode_from_tokens(tokens, return_pooled=True)
        torch.testing.assert_close(text[0], expected[i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(pooled[0], expected_pooled[i], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_images_are_those_of_training(loaded: Any, world: Path):
    from idpatch_core.training.base_model import load_vae

    latent = torch.randn(1, 8, 8, 16, generator=torch.Generator().manual_seed(0))
    expected = load_vae(str(world / "base")).decode(latent).sample / 2 + 0.5
    image = loaded.vae.decode(latent)
    torch.testing.assert_close(image.permute(0, 3, 1, 2), expected.clamp(0, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("guide_patches", [False, True])
@torch.inference_mode()
def test_the_latent_is_that_of_training(
    comfy: Any, loaded: Any, world: Path, monkeypatch: pytest.MonkeyPatch, guide_patches: bool
):
    import comfy.sample as comfy_sample
    from diffusers import ControlNetModel, UNet2DConditionModel

    from idpatch_core.checkpoint import read_id_patch
    from idpatch_core.projection import build_projection

    export = world / "stage1" / "export"
    unet = UNet2DConditionModel.from_pretrained(str(world / "base" / "unet"))
    control = ControlNetModel.from_pretrained(str(export / "ControlNetModel"))
    projections = [build_projection(s) for s in read_id_patch(export / "id-patch.safetensors")[:2]]
    networks = Networks(unet, control, *projections).eval()
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

    found = project(*projections, embeddings)
    names = ("a", "b")
    identities = tuple(map(Identity, names, embeddings))
    monkeypatch.setattr(comfy_sample, "prepare_noise", lambda *_: noise.clone())
    result = comfy.nodes.sampler.IDPatchSampler.execute(
        model=loaded.model,
        positive=[[text, {"pooled_output": pooled}]],
        negative=[[negative, {"pooled_output": negative_pooled}]],
        control_net=loaded.control_net,
        id_patches=IDPatches(*found, identities),
        id_hint=Hint(
            networks.hint(shown), base, tuple(Point(*p) for p in points[0].tolist()), names
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


@torch.inference_mode()
def test_networks_of_eight_peoples_world_are_those_of_training(comfy: Any):
    world = read_world(RECIPES / "eight_people" / "world.toml")
    small_sdxl = import_module(MODULE)
    torch.manual_seed(0)
    vae = new_vae(world.vae.channels, world.vae.widths).eval()
    latent = torch.randn(1, world.vae.channels, 4, 8)
    loaded = small_sdxl.load_vae(dict(vae.config), vae.state_dict())
    expected = vae.decode(latent).sample / 2 + 0.5
    image = loaded.decode(latent).permute(0, 3, 1, 2)
    torch.testing.assert_close(image, expected.clamp(0, 1), atol=1e-4, rtol=0)

    unet = new_unet(world.vae.channels, world.base.widths).eval()
    text, pooled = torch.randn(1, 77, 192), torch.randn(1, 128)
    sizes = torch.tensor([[64.0, 128, 0, 0, 64, 128]])
    x, timestep = torch.randn(1, world.vae.channels, 8, 16), torch.tensor([500.0])
    added = {"text_embeds": pooled, "time_ids": sizes}
    expected = unet(x, timestep, text, added_cond_kwargs=added).sample
    model = small_sdxl.load_unet(dict(unet.config), unet.state_dict(), 0.5).model
    times = unet.add_time_proj(sizes.flatten()).reshape(1, -1)
    y = torch.cat([pooled, times], dim=1)
    actual = model.diffusion_model(x, timestep, context=text, y=y)
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=1e-3)


def test_a_missing_part_is_named(comfy: Any, tmp_path: Path, world: Path):
    load_small_sdxl = import_module(MODULE).load_small_sdxl
    with pytest.raises(ValueError, match=r"unet\.safetensors is missing"):
        load_small_sdxl(tmp_path)
    with pytest.raises(ValueError, match=r"stage2.* is missing"):
        package_world(world, tmp_path, "stage2")
