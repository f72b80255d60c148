"""The trainer's own sampling is the reference's, and the nodes' with what it exports."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers_reference import DATA, Case, final_latent, load_networks, random_case
from safetensors.torch import load_file, save_file
from torch import Tensor
from training_world import SCHEDULER, settings

from idpatch_core.checkpoint import read_id_patch
from idpatch_core.projection import MLPProjection, build_projection, project
from idpatch_core.training.config import Config, Sampling, build, check
from idpatch_core.training.data import EMPTY, FACES, FORMAT_VERSION, INDEX, INFO
from idpatch_core.training.export import load_run
from idpatch_core.training.losses import EPSILON
from idpatch_core.training.networks import Condition, Networks, load_alphas
from idpatch_core.training.sampling import sample
from idpatch_core.training.trainer import train

WIDTH, HEIGHT = 128, 192


def shown_of(case: Case, embeddings: Tensor) -> Condition:
    sizes = torch.tensor([[HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]], dtype=torch.float32)
    keep, places = torch.ones(1), case.points[None]
    people = embeddings[None]
    return Condition(case.text[1:], case.pooled[1:], sizes, case.base, places, people, people, keep)


def own_latent(networks: Networks, case: Case, embeddings: Tensor, alphas: Tensor) -> Tensor:
    how = Sampling(
        steps=case.steps, cfg=case.cfg, injection_ratio=case.ratio, control_strength=case.scale
    )
    negative = case.text[:1], case.pooled[:1]
    shown = shown_of(case, embeddings)
    return sample(networks, shown, *negative, case.noise, alphas, EPSILON, how)


def case_of(networks: Any, embeddings: Tensor, ratio: float) -> Case:
    """Return a random case with the patches and tokens of these people."""
    with torch.no_grad():
        found = project(networks.patch_proj, networks.prompt_proj, embeddings)
    case = random_case(height=HEIGHT, width=WIDTH, steps=4, ratio=ratio)
    return case._replace(patches=found[0], tokens=found[1], zero_tokens=found[2])


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
def test_equals_the_released_pipeline(base: Path, ratio: float) -> None:
    torch.manual_seed(0)
    halves = MLPProjection(16, 3, 64**2, hidden=8), MLPProjection(16, 4, 2048, hidden=8)
    unet, control = load_networks()
    networks, embeddings = Networks(unet, control, *halves), torch.randn(2, 16)
    case = case_of(networks, embeddings, ratio)
    latent = own_latent(networks, case, embeddings, load_alphas(str(base))[0])
    expected = final_latent(case, unet, control)
    assert (latent - expected).norm() / expected.norm() < 1e-5


def make_pictures(folder: Path) -> None:
    """Write prepared pictures of SDXL's widths: one with one person."""
    (folder / "pictures").mkdir(parents=True)
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
        folder / "pictures/0.safetensors",
    )
    line = {"file": "pictures/0.safetensors", "width": WIDTH, "height": HEIGHT, "people": ["a"]}
    (folder / INDEX).write_text(json.dumps(line) + "\n")
    save_file({"embeddings": torch.nn.functional.normalize(torch.randn(1, 16))}, folder / FACES)
    save_file({"text": torch.zeros(77, 2048), "pooled": torch.zeros(1280)}, folder / EMPTY)
    (folder / INFO).write_text(json.dumps({"version": FORMAT_VERSION, "scaling_factor": 1.0}))


@pytest.mark.parametrize("location", [False, True])
def test_exported_weights_give_the_same_latent_in_comfyui(
    comfy: Any,
    tiny_sdxl: Any,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    location: bool,
) -> None:
    import comfy.sample as comfy_sample
    from reference_models import tiny_control_net
    from sampling import node_inputs, run_sampler

    make_pictures(tmp_path / "prepared")
    world = {"base": str(base), "controlnet": str(tmp_path / "control"), "face_model": ""}
    sections = settings(
        {**world, "prepared": str(tmp_path / "prepared")},
        tmp_path / "run",
        run={"steps": 2},
        data={"batch_size": 1},
        projection={"kind": "mlp", "width": 8, "patch": 64, "location": location},
    )
    output = train(check(build(Config, sections, "")))
    networks, _ = load_run(output)
    exported = output / "export" / "ControlNetModel" / "diffusion_pytorch_model.safetensors"
    before = load_file(DATA / "controlnet.safetensors")
    weight = "controlnet_cond_embedding.conv_in.weight"
    assert not torch.equal(load_file(exported)[weight], before[weight].float())  # it has learnt

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
    own = own_latent(networks, case, embeddings, load_alphas(str(base))[0])
    assert (latent - own).abs().max() < 1e-4 * own.abs().max()
