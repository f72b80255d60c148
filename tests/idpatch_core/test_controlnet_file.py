import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from idpatch_core.controlnet_file import CONTROL_NET_DTYPES, convert_control_net
from idpatch_core.convert import main

ROOT = Path(__file__).parents[2]
CONTROL_NET = ROOT / "tests" / "data" / "reference" / "controlnet.safetensors"
FIRST = "controlnet_cond_embedding.conv_in.weight"


@pytest.fixture
def source(tmp_path):
    weights = {name: tensor.float() for name, tensor in load_file(CONTROL_NET).items()}
    save_file(weights, tmp_path / "control.safetensors", {"format": "pt"})
    return tmp_path / "control.safetensors"


@pytest.mark.parametrize("name", CONTROL_NET_DTYPES)
def test_the_weights_are_rounded_and_keep_their_names(source, tmp_path, name):
    target, dtype = tmp_path / "new.safetensors", CONTROL_NET_DTYPES[name]
    assert main([str(source), str(target), "--dtype", name]) == 0
    before, after = load_file(source), load_file(target)
    assert after.keys() == before.keys()
    for key, tensor in before.items():
        assert after[key].dtype == dtype
        assert torch.equal(after[key].float(), tensor.to(dtype).float())
    with safe_open(target, "pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert target.stat().st_mode == source.stat().st_mode | 0o044
    convert_control_net(source, tmp_path / "again.safetensors", dtype)
    assert (tmp_path / "again.safetensors").read_bytes() == target.read_bytes()


def test_half_precision_takes_half_of_the_file(source, tmp_path, capsys):
    assert main([str(source), str(tmp_path / "new.safetensors"), "--dtype", "fp16"]) == 0
    sizes = [(tmp_path / name).stat().st_size for name in (source.name, "new.safetensors")]
    assert 0.5 < sizes[1] / sizes[0] < 0.55  # the header stays
    assert "ControlNet: " in capsys.readouterr().out


def test_weights_that_become_zero_are_counted(source, tmp_path, capsys):
    weights = load_file(source)
    count = weights[FIRST].numel()
    save_file({**weights, FIRST: torch.full_like(weights[FIRST], 1e-5)}, source)
    for dtype, vanished in (("fp16", 0), ("fp8", count)):
        converted = convert_control_net(
            source, tmp_path / f"{dtype}.safetensors", CONTROL_NET_DTYPES[dtype]
        )
        assert (converted.vanished >= vanished) and (converted.vanished > 0) == (vanished > 0)
    main([str(source), str(tmp_path / "new.safetensors"), "--dtype", "fp8"])
    assert "are too small for fp8 and became zero" in capsys.readouterr().out


@pytest.mark.parametrize(("value", "dtype"), [(7e4, "fp16"), (500.0, "fp8"), (torch.nan, "fp32")])
def test_values_that_do_not_fit_leave_the_target_as_it_is(source, tmp_path, value, dtype, capsys):
    weights = load_file(source)
    weights["mid_block.resnets.0.conv1.bias"][0] = value
    save_file(weights, source)
    target = tmp_path / "new.safetensors"
    target.write_bytes(b"mine")
    assert main([str(source), str(target), "--dtype", dtype, "--force"]) == 1
    assert "control.safetensors: mid_block.resnets.0.conv1.bias holds" in capsys.readouterr().err
    assert target.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [source.name, target.name]


def test_the_original_names_are_kept_as_well(tmp_path):
    weights = {"input_hint_block.0.weight": torch.ones(2), "label_emb.0.0.weight": torch.ones(3)}
    for prefix in ("", "control_model."):
        save_file({prefix + name: t for name, t in weights.items()}, tmp_path / "a.safetensors")
        convert_control_net(tmp_path / "a.safetensors", tmp_path / "b.safetensors", torch.bfloat16)
        assert set(load_file(tmp_path / "b.safetensors")) == {prefix + name for name in weights}


def test_other_files_are_refused_in_one_line(source, tmp_path, capsys):
    half = {FIRST: torch.ones(1)}
    save_file(half, tmp_path / "sd15.safetensors")
    integers = {name: t.int() if name == FIRST else t for name, t in load_file(source).items()}
    save_file(integers, tmp_path / "integers.safetensors")
    released = ROOT / "tests" / "data" / "reference" / "id-patch.bin"
    for file, target, reason in (
        (tmp_path / "sd15.safetensors", "new.safetensors", "not one for SDXL"),
        (tmp_path / "integers.safetensors", "new.safetensors", "holds int32, expected float32"),
        (source, "new.bin", "ending in .safetensors"),
        (source, "none/new.safetensors", "there is no folder"),
        (released, "new.safetensors", "fp8 is for ControlNets"),
    ):
        assert main([str(file), str(tmp_path / target), "--dtype", "fp8"]) == 1
        error = capsys.readouterr().err
        assert reason in error and error.count("\n") == 1


def test_one_tensor_at_a_time_is_in_memory(tmp_path):
    size = 1 << 22  # 16 MiB each
    names = [FIRST, "add_embedding.linear_1.weight", *(f"weight.{i}" for i in range(14))]
    save_file({name: torch.ones(size) for name in names}, tmp_path / "large.safetensors")
    code = (
        "import sys, threading, re; from pathlib import Path; import torch;"
        "from idpatch_core.controlnet_file import convert_control_net\n"
        "def held(): return int(re.search(r'RssAnon:\\s+(\\d+)', "
        "Path('/proc/self/status').read_text())[1])\n"
        "before, peak, done = held(), 0, threading.Event()\n"
        "def watch():\n"
        "    global peak\n"
        "    while not done.wait(0.001): peak = max(peak, held())\n"
        "thread = threading.Thread(target=watch); thread.start()\n"
        "convert_control_net(Path(sys.argv[1]), Path(sys.argv[2]), torch.float16)\n"
        "done.set(); thread.join(); print((peak - before) / 1024)"
    )
    files = [str(tmp_path / name) for name in ("large.safetensors", "new.safetensors")]
    command = [sys.executable, "-c", code, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < 80  # MiB; the file has 256, the new one 128
