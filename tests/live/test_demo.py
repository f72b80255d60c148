"""The demo command as a user runs it, and what is left when it is ended early."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from idpatch_core.comfyui.environment import find_comfyui
from idpatch_core.comfyui.server import ServerError, comfyui_server
from idpatch_core.comfyui.temporary import temporary_folder
from idpatch_core.demo.__main__ import COMFYUI_VARIABLE

ROOT = Path(__file__).parents[2]
SMALL = ["--steps", "2"]


@pytest.fixture
def command(tmp_path, comfy_server) -> Iterator[list[str]]:
    """The demo in this environment, with its temporary files in `tmp_path`."""
    yield [sys.executable, "-m", "idpatch_core.demo", *SMALL, "--out", str(tmp_path / "out.png")]


def variables(temporary: Path) -> dict[str, str]:
    own = {COMFYUI_VARIABLE: str(find_comfyui()), "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **own}


def test_the_demo_writes_an_image_that_restores_the_graph(command, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        command, cwd=ROOT, env=variables(temporary), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Wrote {tmp_path / 'out.png'}" in done.stdout
    assert "demo models" in done.stdout
    assert "ID-Patch Sampler 2/2" in done.stdout
    png = Image.open(tmp_path / "out.png")
    assert png.size == (768, 384)
    kinds = {node["type"] for node in json.loads(png.info["workflow"])["nodes"]}
    assert {"IDPatchPlacer", "IDPatchSampler", "MarkdownNote"} <= kinds
    assert json.loads(png.info["prompt"])["20"]["class_type"] == "IDPatchSampler"
    assert list(temporary.glob("idpatch-*")) == []


def restore_ctrl_c() -> None:
    """Handle SIGINT again, which a shell ignores in commands that it runs in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(
    ("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_ending_the_demo_ends_its_server(command, tmp_path, kind, code, monkeypatch):
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=variables(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=restore_ctrl_c,
    )
    assert process.stdout
    # The first line of progress: the server runs the graph.
    assert any(re.match(r"\s*\d+% ", line) for line in process.stdout)
    servers = psutil.Process(process.pid).children(recursive=True)
    assert any("main.py" in " ".join(server.cmdline()) for server in servers)
    process.send_signal(kind)
    assert process.wait(60) == code
    _, alive = psutil.wait_procs(servers, timeout=20)
    assert alive == []
    assert not (tmp_path / "out.png").exists()
    left = list(tmp_path.glob("idpatch-*"))
    assert len(left) == (kind == signal.SIGKILL)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder():  # as the next run has one
        assert not any(path.exists() for path in left)


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path):
    (tmp_path / "main.py").write_text("raise SystemExit('no room on the card')")
    with (
        pytest.raises(ServerError, match=r"ended with code 1\.\nno room on the card"),
        comfyui_server(sys.executable, tmp_path, {}),
    ):
        pytest.fail("it started")


def test_a_server_is_gone_after_an_error_in_the_block(comfy_server):
    comfyui = find_comfyui()
    assert comfyui
    pid = 0
    with (
        pytest.raises(RuntimeError, match="in the block"),
        comfyui_server(sys.executable, comfyui, {}) as server,
    ):
        pid = server.process_id
        raise RuntimeError("in the block")
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid)
    assert not server.base.exists()
