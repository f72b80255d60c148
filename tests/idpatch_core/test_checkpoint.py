import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from projection_states import released_shapes, small_mlp, small_projections, small_resampler
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from idpatch_core.checkpoint import read_id_patch, write_id_patch
from idpatch_core.projection import build_projection

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def prefixed(patch_state, prompt_state):
    return {f"patch_proj.{name}": tensor for name, tensor in patch_state.items()} | {
        f"prompt_proj.{name}": tensor for name, tensor in prompt_state.items()
    }


def written(path, patch_state, prompt_state):
    """A released file as others write it, with whatever it is given."""
    torch.save({"patch_proj": patch_state, "prompt_proj": prompt_state}, path)
    return path


def assert_same(states, expected):
    for state, other in zip(states, expected, strict=True):
        assert state.keys() == other.keys()
        assert all(torch.equal(state[name], other[name]) for name in other)


def test_the_released_layout_is_read():
    patch_state, prompt_state, metadata = read_id_patch(REFERENCE / "id-patch.bin")
    assert patch_state["latents"].shape == (1, 3, 128)
    assert prompt_state["layers.3.1.3.weight"].shape == (128, 512)
    assert metadata == {}


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_written_is_read_again(tmp_path, name, dtype):
    projections = [{k: t.to(dtype) for k, t in state.items()} for state in small_projections()]
    write_id_patch(tmp_path / name, *projections, metadata={"steps": "900"})
    *states, metadata = read_id_patch(tmp_path / name)
    assert_same(states, projections)
    assert metadata.get("steps") == ("900" if name.endswith("safetensors") else None)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_our_format_names_itself_and_its_architecture(tmp_path):
    write_id_patch(tmp_path / "m.safetensors", small_resampler(3, 64), small_mlp(4, 16))
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert file.metadata() == {
            "format": "id-patch",
            "format_version": "1",
            "patch_proj": "Resampler",
            "prompt_proj": "MLPProjection",
        }
    assert (
        load_file(tmp_path / "m.safetensors").keys()
        == prefixed(small_resampler(3, 64), small_mlp(4, 16)).keys()
    )


def test_the_released_layout_is_written_as_two_dictionaries(tmp_path):
    write_id_patch(tmp_path / "m.bin", *small_projections())
    content = torch.load(tmp_path / "m.bin", weights_only=True)
    assert list(content) == ["patch_proj", "prompt_proj"]
    assert_same(content.values(), small_projections())


def test_dtypes_are_converted_when_asked(tmp_path):
    write_id_patch(tmp_path / "m.safetensors", *small_projections(), dtype=torch.float16)
    states = read_id_patch(tmp_path / "m.safetensors")[:2]
    assert_same(states, [{k: t.half() for k, t in state.items()} for state in small_projections()])


def test_a_file_under_the_other_format_s_name(tmp_path):
    save_file(prefixed(*small_projections()), tmp_path / "m.bin")
    assert_same(read_id_patch(tmp_path / "m.bin")[:2], small_projections())
    written(tmp_path / "m.bin", *small_projections()).rename(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"this is a PyTorch file\. Rename it to end in \.bin"):
        read_id_patch(tmp_path / "m.safetensors")


def test_parameters_and_the_oldest_pickles_are_read(tmp_path):
    parameters = [
        build_projection(state).train().state_dict(keep_vars=True) for state in small_projections()
    ]
    content = dict(zip(("patch_proj", "prompt_proj"), parameters, strict=True))
    torch.save(content, tmp_path / "m.bin", _use_new_zipfile_serialization=False)
    states = read_id_patch(tmp_path / "m.bin")[:2]
    assert_same(states, small_projections())
    assert not any(tensor.requires_grad for state in states for tensor in state.values())


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
    write_id_patch(tmp_path / "m.safetensors", *small_projections())
    before = (tmp_path / "m.safetensors").read_bytes()
    patch_state, prompt_state = small_projections()
    patch_state["latents"] = torch.full_like(patch_state["latents"], 1e6)
    with pytest.raises(ValueError, match=r"patch_proj\.latents holds values that are not finite"):
        write_id_patch(tmp_path / "m.safetensors", patch_state, prompt_state, dtype=torch.float16)
    assert (tmp_path / "m.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_others_may_read_what_is_written(tmp_path):
    (tmp_path / "plain").touch()
    for name in ("m.safetensors", "m.bin"):
        write_id_patch(tmp_path / name, *small_projections())
        assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_other_endings_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.safetensors or \.bin"):
        write_id_patch(tmp_path / "m.ckpt", *small_projections())


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, form):
    path, trace = tmp_path / "m.bin", tmp_path / "trace"
    content = {"patch_proj": small_resampler(3, 64), "prompt_proj": Attack(trace)}
    if form == "bare":
        path.write_bytes(pickle.dumps(Attack(trace), protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ValueError, match=r"m\.bin: refused, because .* may run code.*mkdir"):
        read_id_patch(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if form != "bare" else pickle.loads(path.read_bytes())
    assert trace.exists()  # so the attack would have worked


@pytest.mark.parametrize("name", ["m.safetensors", "m.bin"])
@pytest.mark.parametrize("share", [0.999, 0.5, 0.01])
def test_a_truncated_file_says_so(tmp_path, name, share):
    path = tmp_path / name
    write_id_patch(path, *small_projections())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match="truncated"):
        read_id_patch(path)


def test_what_is_no_model_file_is_named(tmp_path):
    path = tmp_path / "id-patch.bin"
    for content, message in (
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html><title>Hugging Face</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git-lfs pointer"),
        (b"Access to this model is restricted.", "neither a .safetensors nor a PyTorch file"),
        (struct.pack("<Q", 9) + b"{ not json", "damaged"),
        (pickle.dumps([1, 2], protocol=2), "damaged or truncated"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"id-patch\.bin: .*{message}"):
            read_id_patch(path)


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(ValueError, match="this is a folder"):
        read_id_patch(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        read_id_patch(tmp_path / "m.bin")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.diffusion_model.input_blocks.0.0.weight", "a Stable Diffusion checkpoint"),
        ("image_proj.latents", "an IP-Adapter .*models/ipadapter"),
        ("controlnet_cond_embedding.conv_in.weight", "a ControlNet .*models/controlnet"),
        ("input_layer.0.weight", "ArcFace .*models/facexlib"),
        ("lora_unet_down.weight", "a LoRA"),
        ("x.weight", r"another model's weights \(x.weight\)"),
    ],
)
def test_another_model_is_recognised(tmp_path, name, message):
    save_file({name: torch.zeros(2)}, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=message):
        read_id_patch(tmp_path / "m.safetensors")
    torch.save({name: torch.zeros(2)}, tmp_path / "m.bin")
    with pytest.raises(ValueError, match=message):
        read_id_patch(tmp_path / "m.bin")


def test_an_ip_adapter_pickle_is_recognised(tmp_path):
    ip_adapter = {"image_proj": small_mlp(4, 16), "ip_adapter": {"1.to_k_ip.weight": torch.ones(1)}}
    torch.save(ip_adapter, tmp_path / "m.bin")
    with pytest.raises(ValueError, match="an IP-Adapter"):
        read_id_patch(tmp_path / "m.bin")


def test_a_missing_half_is_named(tmp_path):
    torch.save({"patch_proj": small_resampler(3, 64)}, tmp_path / "m.bin")
    with pytest.raises(ValueError, match="it lacks prompt_proj"):
        read_id_patch(tmp_path / "m.bin")
    with pytest.raises(ValueError, match="it lacks patch_proj"):
        read_id_patch(written(tmp_path / "m.bin", {}, small_resampler(4, 16)))


@pytest.mark.parametrize(
    ("patch_state", "prompt_state", "message"),
    [
        (small_resampler(3, 64), small_resampler(4, 16, 32), "of 24 numbers, prompt_proj of 32"),
        (small_resampler(4, 16), small_resampler(3, 64), "patch_proj: its output is 4 x 16 values"),
        (small_mlp(3, 60), small_mlp(4, 16), "patch_proj: its output is 3 x 60 values"),
        (small_mlp(3, 64), {"latents": torch.ones(1, 2, 4)}, "prompt_proj: it lacks layers"),
    ],
)
def test_unfit_projections_are_refused(tmp_path, patch_state, prompt_state, message):
    with pytest.raises(ValueError, match=message):
        read_id_patch(written(tmp_path / "m.bin", patch_state, prompt_state))
    with pytest.raises(ValueError, match=message):
        write_id_patch(tmp_path / "n.bin", patch_state, prompt_state)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    patch_state, prompt_state = small_projections()
    prompt_state["norm_out.bias"] = prompt_state["norm_out.bias"].clone()
    prompt_state["norm_out.bias"][3] = value
    with pytest.raises(ValueError, match=r"prompt_proj\.norm_out\.bias holds values that are not"):
        read_id_patch(written(tmp_path / "m.bin", patch_state, prompt_state))


def test_integers_and_eight_bit_floats_are_refused(tmp_path):
    for dtype, name in ((torch.int64, "int64"), (torch.float8_e4m3fn, "float8_e4m3fn")):
        patch_state = {name: tensor.to(dtype) for name, tensor in small_resampler(3, 64).items()}
        with pytest.raises(ValueError, match=f"holds {name}, expected float32"):
            read_id_patch(written(tmp_path / "m.bin", patch_state, small_resampler(4, 16)))


def test_what_no_model_has_is_refused(tmp_path):
    tensors = prefixed(*small_projections())
    save_file({**tensors, "unet.weight": torch.ones(1)}, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"no ID-Patch model has: unet\.weight"):
        read_id_patch(tmp_path / "m.safetensors")
    save_file({**tensors, "patch_proj.extra": torch.ones(1)}, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="do not belong there: extra"):
        read_id_patch(tmp_path / "m.safetensors")


def test_a_newer_version_asks_for_an_update(tmp_path):
    metadata = {"format": "id-patch", "format_version": "2"}
    save_file(prefixed(*small_projections()), tmp_path / "m.safetensors", metadata)
    with pytest.raises(ValueError, match="format version 2, this pack reads version 1"):
        read_id_patch(tmp_path / "m.safetensors")


@pytest.mark.slow
def test_the_released_file_at_its_true_size(tmp_path):
    projections = [
        {name: torch.full(shape, 0.01) for name, shape in released_shapes(*sizes).items()}
        for sizes in ((3, 4096), (16, 2048))
    ]
    path = written(tmp_path / "id-patch.bin", *projections)
    assert 666e6 < path.stat().st_size < 667e6
    states = read_id_patch(path)[:2]
    assert_same(states, projections)
    write_id_patch(tmp_path / "id-patch.safetensors", *states, dtype=torch.float16)
    assert 333e6 < (tmp_path / "id-patch.safetensors").stat().st_size < 334e6
    assert read_id_patch(tmp_path / "id-patch.safetensors")[0]["latents"].shape == (1, 3, 1280)
