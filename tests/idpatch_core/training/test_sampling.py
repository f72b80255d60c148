"""Sampling in training equals the reference's, and the nodes' with the exported weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers_reference import DATA, Case, final_latent, load_networks, random_case
from safetensors.torch import load_file, save_file
from torch import Tensor
from training_world import SCHEDULER, train_tiny

from idpatch_core.checkpoint import read_id_patch
from idpatch_core.projection import MLPProjection, build_projection, project
from idpatch_core.training.base_model import load_alphas
from idpatch_core.training.config import SamplingConfig
from idpatch_core.training.export import load_run
from idpatch_core.training.losses import EPSILON
from idpatch_core.training.networks import Condition, Networks
from idpatch_core.training.prepared_data import (
    EMBEDDINGS_FILE,
    EMPTY_CAPTION_FILE,
    FORMAT_VERSION,
    INDEX_FILE,
    INFO_FILE,
)
from idpatch_core.training.sampling import sample

WIDTH, HEIGHT = 128, 192


def case_condition(case: Case, embeddings: Tensor) -> Condition:
    sizes = torch.tensor([[HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]], dtype=torch.float32)
    text, points, people = (case.text[1:], case.pooled[1:]), case.points[None], embeddings[None]
    return Condition(*text, sizes, case.base, points, people, people, torch.ones(1))


def training_latent(networks: Networks, case: Case, embeddings: Tensor, alphas: Tensor) -> Tensor:
    config = SamplingConfig(
        steps=case.steps, cfg=case.cfg, injection_ratio=case.ratio, control_strength=case.scale
    )
    negative = case.text[:1], case.pooled[:1]
    condition = case_condition(case, embeddings)
    return sample(networks, condition, *negative, case.noise, alphas, EPSILON, config)


def case_of(networks: Any, embeddings: Tensor, ratio: float) -> Case:
    """Return a random case with the patches and tokens of these people."""
    with torch.no_grad():
        projected = project(networks.patch_proj, networks.prompt_proj, embeddings)
    patches, tokens, zero_tokens = projected
    case = random_case(height=HEIGHT, width=WIDTH, steps=4, ratio=ratio)
    return case._replace(patches=patches, tokens=tokens, zero_tokens=zero_tokens)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The reference's UNet as a base model, and its ControlNet beside it."""
    unet, control = load_networks()
    unet.save_pretrained(tmp_path / "base" / "unet")
    control.save_pretrained(tmp_path / "control")
    (tmp_path / "base" / "scheduler").mkdir()
    (tmp_path / "base" / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return tmp_path / "base"


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_equals_the_released_pipeline(base: Path, ratio: float):
    torch.manual_seed(0)
    projections = MLPProjection(16, 3, 64**2, hidden=8), MLPProjection(16, 4, 2048, hidden=8)
    unet, control = load_networks()
    networks, embeddings = Networks(unet, control, *projections), torch.randn(2, 16)
    case = case_of(networks, embeddings, ratio)
    latent = training_latent(networks, case, embeddings, load_alphas(str(base))[0])
    expected = final_latent(case, unet, control)
    assert (latent - expected).norm() / expected.norm() < 1e-5


def make_prepared(folder: Path) -> None:
    """Write a prepared folder with SDXL's embedding widths: one image with one person."""
    (folder / "images").mkdir(parents=True)
    nose = torch.tensor([64.0, 80.0])
    torch.manual_seed(1)
    save_file(
        {
            "latent_mean": torch.randn(4, HEIGHT // 8, WIDTH // 8),
            "latent_std": torch.zeros(4, HEIGHT // 8, WIDTH // 8),
            "text": torch.randn(77, 2048),
            "pooled": torch.randn(1280),
            "time_ids": torch.tensor([HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]),
            "keypoints": nose.expand(1, 5, 2).contiguous(),
            "boxes": torch.tensor([[44.0, 60.0, 84.0, 100.0]]),
            "poses": torch.zeros(1, 18, 3),
        },
        folder / "images/0.safetensors",
    )
    line = {"file": "images/0.safetensors", "width": WIDTH, "height": HEIGHT, "people": ["a"]}
    (folder / INDEX_FILE).write_text(json.dumps(line) + "\n")
    embeddings = torch.nn.functional.normalize(torch.randn(1, 16))
    save_file({"embeddings": embeddings}, folder / EMBEDDINGS_FILE)
    caption = {"text": torch.zeros(77, 2048), "pooled": torch.zeros(1280)}
    save_file(caption, folder / EMPTY_CAPTION_FILE)
    (folder / INFO_FILE).write_text(json.dumps({"version": FORMAT_VERSION, "scaling_factor": 1.0}))


@pytest.mark.parametrize("location", [False, True])
def test_exported_weights_give_the_same_latent_in_comfyui(
    comfy: Any,
    tiny_sdxl: Any,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    location: bool,
):
    import comfy.sample as comfy_sample
    from reference_models import tiny_control_net
    from sampling import node_inputs, run_sampler

    make_prepared(tmp_path / "prepared")
    world = {"base": str(base), "controlnet": str(tmp_path / "control"), "face_model": ""}
    output = train_tiny(
        {**world, "prepared": str(tmp_path / "prepared")},
        tmp_path / "run",
        run={"steps": 2},
        data={"batch_size": 1},
        projection={"kind": "mlp", "width": 8, "patch_size": 64, "location_embedding": location},
    )
    networks, _ = load_run(output)
    exported = output / "export" / "ControlNetModel" / "diffusion_pytorch_model.safetensors"
    before = load_file(DATA / "controlnet.safetensors")
    weight = "controlnet_cond_embedding.conv_in.weight"
    assert not torch.equal(load_file(exported)[weight], before[weight].float())  # it was trained

    embeddings = torch.nn.functional.normalize(torch.randn(2, 16), dim=-1)
    patch_state, prompt_state, metadata = read_id_patch(output / "export" / "id-patch.safetensors")
    assert metadata["trained_steps"] == "2"

    class Loaded:
        patch_proj, prompt_proj = build_projection(patch_state), build_projection(prompt_state)

    case = case_of(Loaded, embeddings, ratio=0.5)
    monkeypatch.setattr(comfy_sample, "prepare_noise", lambda *_: case.noise.clone())
    pair = type(tiny_sdxl)(tiny_sdxl.model, tiny_control_net(exported))
    tags = Loaded.prompt_proj.location
    assert (tags is not None) == location
    people = node_inputs(comfy, case)["id_patches"]._replace(location=tags)
    latent = run_sampler(comfy, pair, case, id_patches=people)
    latent = tiny_sdxl.model.model.process_latent_in(latent)
    expected = training_latent(networks, case, embeddings, load_alphas(str(base))[0])
    assert (latent - expected).abs().max() < 1e-4 * expected.abs().max()
