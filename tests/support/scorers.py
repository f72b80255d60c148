"""An independent face recogniser for tests, downloaded once by `npm pack` and never committed."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

PACKAGE, MEMBER = "faceplugin-face-recognition-js@0.0.1", "package/model/fr_feature.onnx"
SHA256 = "87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581"
INPUT_FORMAT = {"channels": "BGR", "mean": 127, "std": 128, "threshold": 0.35}


def cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root, "comfyui-id-patch")


def fetch_recogniser() -> Path:
    """Return the ONNX file of a 512-d MobileFaceNet, with the file that describes its input.

    Skips the test, with the reason, where npm cannot download it.
    """
    path = cache_folder() / "fr_feature.onnx"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        _fetch(path)
    beside = path.with_name(path.name + ".json")
    if not beside.is_file():
        beside.write_text(json.dumps(INPUT_FORMAT))
    return path


def _fetch(path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: it downloads the independent face recogniser")
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True
        )
        if packed.returncode:
            pytest.skip(f"npm cannot download {PACKAGE}: {packed.stderr.strip()[-300:]}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None
            content = member.read()
    assert hashlib.sha256(content).hexdigest() == SHA256, f"{PACKAGE} is not what it was"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)
