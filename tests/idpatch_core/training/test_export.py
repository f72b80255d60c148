"""What a run writes is what the loaders read."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_world import settings

from idpatch_core.checkpoint import is_face_sized, read_id_patch
from idpatch_core.training.config import Config, build, check
from idpatch_core.training.export import export, load_run
from idpatch_core.training.export import main as export_command
from idpatch_core.training.networks import load_networks
from idpatch_core.training.trainer import train


@pytest.fixture(scope="module")
def run(world: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    output = tmp_path_factory.mktemp("run")
    trained = {"names": ["patch_proj.*", "prompt_proj.*", "unet.*.attn2.to_k.weight"]}
    sections = settings(world, output, run={"ema": 0.9, "steps": 2}, trained=trained)
    return train(check(build(Config, sections, "")))


def test_both_layouts_hold_the_same_projections(run: Path) -> None:
    ours = read_id_patch(run / "export" / "id-patch.safetensors")
    released = read_id_patch(run / "export" / "id-patch.bin")
    for mine, theirs in zip(ours[:2], released[:2], strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_averages_are_exported_and_raw_weights_on_request(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path, raw=True)
    name = "prompt_proj.proj_in.weight"
    checkpoint = run / "checkpoints/step-00000002"
    raw, average = (load_file(checkpoint / f"{n}.safetensors")[name] for n in ("weights", "ema"))
    assert torch.equal(read_id_patch(tmp_path / "id-patch.bin")[1]["proj_in.weight"], raw)
    averaged = read_id_patch(run / "export" / "id-patch.bin")[1]["proj_in.weight"]
    assert torch.equal(averaged, average)
    assert not torch.equal(raw, average)


def test_the_control_net_has_diffusers_layout(run: Path, world: dict[str, str]) -> None:
    exported = load_file(run / "export/ControlNetModel/diffusion_pytorch_model.safetensors")
    start = load_file(Path(world["controlnet"]) / "diffusion_pytorch_model.safetensors")
    assert exported.keys() == start.keys()
    assert all(torch.equal(exported[name], start[name]) for name in start)  # it was frozen


def test_a_unet_that_learnt_is_exported(run: Path, world: dict[str, str]) -> None:
    exported = load_file(run / "export/unet/diffusion_pytorch_model.safetensors")
    start = load_file(Path(world["base"]) / "unet/diffusion_pytorch_model.safetensors")
    changed = {name for name in start if not torch.equal(start[name], exported[name])}
    assert changed
    assert all(name.endswith("attn2.to_k.weight") for name in changed)


def test_lora_is_exported_by_itself(world: dict[str, str], tmp_path: Path) -> None:
    sections = settings(world, tmp_path, run={"steps": 1}, trained={"lora_rank": 2})
    output = train(check(build(Config, sections, "")))
    weights = load_file(output / "export" / "unet_lora.safetensors")
    assert len(weights) == 2 * 4 * 8
    assert not (output / "export" / "unet").exists()


def test_half_precision_on_request(run: Path, tmp_path: Path) -> None:
    assert export_command([str(run), str(tmp_path), "--dtype", "fp16"]) == 0
    patch, prompt, _ = read_id_patch(tmp_path / "id-patch.safetensors")
    control = load_file(tmp_path / "ControlNetModel/diffusion_pytorch_model.safetensors")
    states = (patch, prompt, control)
    assert {t.dtype for state in states for t in state.values()} == {torch.float16}


def test_no_checkpoint_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint of step 7"):
        load_run(run, 7)
    with pytest.raises(ValueError, match="no folder of a run"):
        load_run(tmp_path)


def test_face_sized_patches_are_written_into_the_file(
    world: dict[str, str], tmp_path: Path
) -> None:
    sized = {"kind": "mlp", "face_sized": True}
    sections = settings(world, tmp_path, run={"steps": 1}, projection=sized)
    output = train(check(build(Config, sections, "")))
    file = output / "export/id-patch.safetensors"
    assert is_face_sized(read_id_patch(file)[2])
    sections["models"]["id_patch"] = str(file)
    again = check(build(Config, {**sections, "projection": {}}, ""))
    assert load_networks(again, 0).face_sized


def test_other_files_have_patches_of_one_size_until_trained_otherwise(
    run: Path, world: dict[str, str], tmp_path: Path
) -> None:
    assert not is_face_sized(read_id_patch(run / "export/id-patch.safetensors")[2])
    sections = settings(world, tmp_path)
    sections["models"]["id_patch"] = str(run / "export/id-patch.bin")
    assert not load_networks(check(build(Config, sections, "")), 0).face_sized
    sections["projection"]["face_sized"] = True
    assert load_networks(check(build(Config, sections, "")), 0).face_sized
