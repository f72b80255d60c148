"""The programs of workflows/api/README.md run as they are written, but at a small size."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from live_workflow import PHOTOS
from PIL import Image
from standins import standin_names

from idpatch_core.comfyui.group_photo import set_models, set_size, set_steps
from idpatch_core.comfyui.workflows import api_file, read_graph

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "workflows" / "api" / "README.md"
SERVER = "http://127.0.0.1:8188"


def find_program(name: str) -> str:
    (program,) = re.findall(rf"<!-- {name} -->\n\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return program


@pytest.fixture
def folder(comfy_server, tmp_path) -> Path:
    """A folder as the page describes it, with the photos and stand-in models."""
    (tmp_path / "idpatch_core").symlink_to(ROOT / "idpatch_core")
    (tmp_path / "workflows" / "api").mkdir(parents=True)
    graph = read_graph(api_file("group_photo"))
    set_models(graph, standin_names())
    set_steps(graph, 2)
    set_size(graph, 1024, 512)
    (tmp_path / "workflows" / "api" / "group_photo.json").write_text(json.dumps(graph))
    shutil.copy(PHOTOS / "collins.jpg", tmp_path / "anna.jpg")
    shutil.copy(PHOTOS / "obama.jpg", tmp_path / "ben.jpg")
    return tmp_path


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_image(folder: Path) -> tuple[np.ndarray, dict]:
    """Return the image that a program fetched, and the graph in it by titles."""
    (file,) = folder.glob("*.png")
    image = Image.open(io.BytesIO(file.read_bytes()))
    nodes = json.loads(image.info["prompt"]).values()
    return np.array(image), {node["_meta"]["title"]: node["inputs"] for node in nodes}


def test_the_programs_make_one_and_the_same_image(comfy_server, folder):
    python, shell = (
        find_program(name).replace(SERVER, comfy_server.url) for name in ("python", "shell")
    )
    assert comfy_server.url in python and comfy_server.url in shell
    assert len(python.strip().splitlines()) <= 24
    printed = run(folder, sys.executable, "-c", python)
    assert "ID-Patch Sampler 2 2" in printed.splitlines()
    image, nodes = read_image(folder)
    assert image.shape == (512, 1024, 3) and image.std() > 1
    people = json.loads(nodes["People"]["people"])
    assert [person["name"] for person in people] == ["Anna", "Ben"]
    placements = json.loads(nodes["Patch Placer"]["placements"])
    assert placements[1] == {"name": "Ben", "x": 674, "y": 400}
    assert nodes["ID-Patch Sampler"]["seed"] == 7
    for file in folder.glob("*.png"):
        file.unlink()
    shown = run(folder, "sh", "-c", shell).split()
    again, _ = read_image(folder)
    assert shown == [file.name for file in folder.glob("*.png")]
    assert np.array_equal(image, again)
