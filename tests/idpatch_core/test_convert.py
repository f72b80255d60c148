import subprocess
import sys
from pathlib import Path

import pytest
import torch
from projection_states import small_projections

from idpatch_core.checkpoint import read_id_patch, write_id_patch
from idpatch_core.convert import main

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "tests" / "data" / "reference" / "id-patch.bin"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "id-patch.bin"
    write_id_patch(path, *small_projections())
    return path


def test_the_released_file_and_back_is_the_same(tmp_path, capsys):
    ours, back = tmp_path / "id-patch.safetensors", tmp_path / "back.bin"
    assert main([str(RELEASED), str(ours)]) == 0
    assert main([str(ours), str(back)]) == 0
    for own, other in zip(read_id_patch(back)[:2], read_id_patch(RELEASED)[:2], strict=True):
        assert own.keys() == other.keys()
        assert all(torch.equal(own[name], other[name]) for name in other)
    printed = capsys.readouterr().out
    assert "patch_proj: Resampler, 1.4 M parameters, float16" in printed
    assert f"Wrote {back}, 5." in printed


def test_the_command_converts_to_a_dtype(source, tmp_path):
    target = tmp_path / "out.safetensors"
    command = [sys.executable, "-m", "idpatch_core.convert", source, target, "--dtype", "bf16"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"Wrote {target}" in result.stdout
    assert read_id_patch(target)[0]["latents"].dtype == torch.bfloat16


def test_an_existing_file_is_replaced_only_by_force(source, tmp_path, capsys):
    target = tmp_path / "out.safetensors"
    target.write_bytes(b"mine")
    assert main([str(source), str(target)]) == 1
    assert "Give --force to replace it" in capsys.readouterr().err
    assert target.read_bytes() == b"mine"
    assert main([str(source), str(target), "--force"]) == 0
    assert target.stat().st_size > 1000


def test_the_source_is_never_overwritten(source, capsys):
    before = source.read_bytes()
    assert main([str(source), str(source), "--force"]) == 1
    assert "this is the source itself" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_what_cannot_be_read_or_written_is_one_line_on_stderr(source, tmp_path, capsys):
    (tmp_path / "page.bin").write_bytes(b"<html>")
    for arguments in (
        [tmp_path / "page.bin", tmp_path / "out.bin"],
        [tmp_path / "none.bin", tmp_path / "out.bin"],
        [source, tmp_path / "none" / "out.bin"],
        [source, tmp_path / "out.ckpt"],
    ):
        assert main([str(argument) for argument in arguments]) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
