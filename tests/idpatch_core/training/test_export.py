"""The exported files are those that the loaders read."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_world import settings, tiny_config, train_tiny

from idpatch_core.checkpoint import is_face_sized, read_id_patch
from idpatch_core.training.config_file import make_config
from idpatch_core.training.export import export, load_run
from idpatch_core.training.export import main as export_command
from idpatch_core.training.networks import load_networks
from idpatch_core.training.trainer import train


@pytest.fixture(scope="module")
def run(world: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    output = tmp_path_factory.mktemp("run")
    trainable = {"parameters": ["patch_proj.*", "prompt_proj.*", "unet.*.attn2.to_k.weight"]}
    return train_tiny(world, output, run={"ema_decay": 0.9, "steps": 2}, trainable=trainable)


def test_both_layouts_hold_the_same_projections(run: Path):
    ours = read_id_patch(run / "export" / "id-patch.safetensors")
    released = read_id_patch(run / "export" / "id-patch.bin")
    for a, b in zip(ours[:2], released[:2], strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_averages_are_exported_and_raw_weights_on_request(run: Path, tmp_path: Path):
    export(run, tmp_path, raw=True)
    name = "prompt_proj.proj_in.weight"
    checkpoint = run / "checkpoints/step-00000002"
    raw, average = (load_file(checkpoint / f"{n}.safetensors")[name] for n in ("weights", "ema"))
    assert torch.equal(read_id_patch(tmp_path / "id-patch.bin")[1]["proj_in.weight"], raw)
    averaged = read_id_patch(run / "export" / "id-patch.bin")[1]["proj_in.weight"]
    assert torch.equal(averaged, average)
    assert not torch.equal(raw, average)


def test_the_control_net_has_diffusers_layout(run: Path, world: dict[str, str]):
    exported = load_file(run / "export/ControlNetModel/diffusion_pytorch_model.safetensors")
    start = load_file(Path(world["controlnet"]) / "diffusion_pytorch_model.safetensors")
    assert exported.keys() == start.keys()
    assert all(torch.equal(exported[name], start[name]) for name in start)  # it was frozen


def test_a_trained_unet_is_exported(run: Path, world: dict[str, str]):
    exported = load_file(run / "export/unet/diffusion_pytorch_model.safetensors")
    start = load_file(Path(world["base"]) / "unet/diffusion_pytorch_model.safetensors")
    changed = {name for name in start if not torch.equal(start[name], exported[name])}
    assert changed
    assert all(name.endswith("attn2.to_k.weight") for name in changed)


def test_lora_is_exported_by_itself(world: dict[str, str], tmp_path: Path):
    output = train_tiny(world, tmp_path, run={"steps": 1}, trainable={"lora_rank": 2})
    weights = load_file(output / "export" / "unet_lora.safetensors")
    assert len(weights) == 3 * 4 * 8
    assert {name.rpartition(".lora_")[2] for name in weights if ".lora_" in name} == {
        "down.weight",
        "up.weight",
    }
    assert not (output / "export" / "unet").exists()

    files = [path.relative_to(output / "export") for path in (output / "export").rglob("*.*")]
    assert len(files) == 5
    for _ in range(4):  # equal weights in files of equal bytes
        export(output, tmp_path / "again")
        for file in files:
            again = (tmp_path / "again" / file).read_bytes()
            assert again == (output / "export" / file).read_bytes()


def test_half_precision_on_request(run: Path, tmp_path: Path):
    assert export_command([str(run), str(tmp_path), "--dtype", "fp16"]) == 0
    patch, prompt, _ = read_id_patch(tmp_path / "id-patch.safetensors")
    control = load_file(tmp_path / "ControlNetModel/diffusion_pytorch_model.safetensors")
    states = (patch, prompt, control)
    assert {t.dtype for state in states for t in state.values()} == {torch.float16}


def test_a_missing_checkpoint_is_an_error(run: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="no checkpoint of step 7"):
        load_run(run, 7)
    with pytest.raises(ValueError, match="is not the folder of a run"):
        load_run(tmp_path)


def test_face_sized_patches_are_noted_in_the_file(world: dict[str, str], tmp_path: Path):
    sized = {"kind": "mlp", "face_sized": True}
    sections = settings(world, tmp_path, run={"steps": 1}, projection=sized)
    output = train(make_config(sections))
    file = output / "export/id-patch.safetensors"
    assert is_face_sized(read_id_patch(file)[2])
    sections["models"]["id_patch"] = str(file)
    assert load_networks(make_config({**sections, "projection": {}}), 0).face_sized


def test_other_files_have_patches_of_one_size_unless_configured(
    run: Path, world: dict[str, str], tmp_path: Path
):
    assert not is_face_sized(read_id_patch(run / "export/id-patch.safetensors")[2])
    models = {"id_patch": str(run / "export/id-patch.bin")}
    assert not load_networks(tiny_config(world, tmp_path, models=models), 0).face_sized
    config = tiny_config(world, tmp_path, models=models, projection={"face_sized": True})
    assert load_networks(config, 0).face_sized
