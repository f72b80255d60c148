import subprocess
import sys
from pathlib import Path

import pytest

from idpatch_core.comfyui import environment
from idpatch_core.comfyui.environment import SetupError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.delenv("COMFYUI_PYTHON", raising=False)
    return tmp_path / "comfyui-id-patch"


@pytest.fixture
def comfyui(tmp_path) -> Path:
    path = tmp_path / "ComfyUI"
    (path / "comfy").mkdir(parents=True)
    (path / "main.py").touch()
    return path


def test_preparing_needs_only_the_standard_library():
    code = "import sys; sys.modules.update(dict.fromkeys(('torch', 'numpy', 'aiohttp', 'PIL')))\n"
    code += "import idpatch_core.demo.__main__"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_tests_can_be_collected_without_the_modules_of_unix():
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "support")]
    code = f"import sys; sys.path[:0] = {paths}\n"
    code += "sys.modules.update(dict.fromkeys(('fcntl', 'pwd', 'grp', 'resource', 'termios')))\n"
    code += "import conftest, idpatch_core.comfyui.server, idpatch_core.demo.__main__"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_comfyui_path_must_be_a_comfyui(comfyui, monkeypatch):
    assert environment.given_comfyui() is None
    monkeypatch.setenv("COMFYUI_PATH", str(comfyui))
    assert environment.given_comfyui() == comfyui
    monkeypatch.setenv("COMFYUI_PATH", str(comfyui / "comfy"))
    with pytest.raises(SetupError, match=r"COMFYUI_PATH is .*comfy, which is not a ComfyUI folder"):
        environment.given_comfyui()


@pytest.mark.parametrize("place", [".venv/bin/python", "../python_embeded/python.exe"])
def test_a_comfyui_brings_its_own_python(comfyui, place):
    assert environment.given_python(comfyui) is None
    python = comfyui / place
    python.parent.mkdir(parents=True)
    python.touch()
    assert environment.given_python(comfyui) == python


def test_comfyui_python_wins(comfyui, monkeypatch):
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    assert environment.given_python(comfyui) == Path(sys.executable)
    monkeypatch.setenv("COMFYUI_PYTHON", "/no/python")
    with pytest.raises(SetupError, match="COMFYUI_PYTHON is /no/python"):
        environment.given_python(comfyui)


def test_what_a_given_python_lacks_is_named(monkeypatch, comfyui):
    monkeypatch.setattr(environment, "TEST_MODULES", ("pytest", "no_such_tool"))
    environment.check_modules(Path(sys.executable), tests=False)
    with pytest.raises(SetupError, match=r"lacks no_such_tool\. Install them with"):
        environment.check_modules(Path(sys.executable), tests=True)


def test_an_interrupted_replacement_leaves_what_was_there(tmp_path):
    directory = tmp_path / "made"
    with environment.replacing(directory, "1") as made:
        (made / "file").write_text("first")
    with pytest.raises(KeyboardInterrupt), environment.replacing(directory, "2") as made:
        (made / "file").write_text("second")
        raise KeyboardInterrupt
    assert (directory / "file").read_text() == "first"
    assert environment.is_complete(directory, "1")
    assert not environment.is_complete(directory, "2")
    assert list(tmp_path.iterdir()) == [directory]


def test_the_extra_test_is_read_as_a_toml_reader_reads_it():
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert environment.test_requirements() == project["optional-dependencies"]["test"]


def test_a_failed_command_shows_its_last_words():
    with pytest.raises(SetupError, match="no such package"):
        environment.run_command(sys.executable, "-c", "raise SystemExit('no such package')")


class Pip:
    """Stands for pip: notes what is to be installed, and may be interrupted."""

    def __init__(self):
        self.installed: list[str] = []
        self.interrupted = False

    def __call__(self, python: Path, *arguments: str | Path) -> None:
        packages = python.parents[1] / "lib/python3/site-packages"
        packages.mkdir(parents=True, exist_ok=True)
        for number in range(20):
            (packages / f"module{number}.py").touch()
        if self.interrupted:
            raise KeyboardInterrupt
        self.installed.append(" ".join(map(str, arguments)))


@pytest.fixture
def pip(monkeypatch) -> Pip:
    pip = Pip()
    monkeypatch.setattr(environment, "pip", pip)
    return pip


def test_an_environment_is_filled_once_and_again_when_something_changed(pip, comfyui, tmp_path):
    directory = tmp_path / "env"
    (comfyui / "requirements.txt").write_text("torch\n")
    python = environment.fill_environment(directory, comfyui, tests=False)
    assert python == directory / "bin" / "python" and python.exists()
    assert environment.fill_environment(directory, comfyui, tests=False) == python
    assert len(pip.installed) == 1
    assert "torch==2.14.1" in pip.installed[0] and "transformers<5" in pip.installed[0]
    environment.fill_environment(directory, comfyui, tests=True)
    assert len(pip.installed) == 3 and "pytest" in pip.installed[1]
    assert "--no-deps opencv-python-headless" in pip.installed[2]
    (comfyui / "requirements.txt").write_text("torch\nkornia\n")
    environment.fill_environment(directory, comfyui, tests=False)
    assert len(pip.installed) == 4


def test_an_interrupted_installation_starts_again(pip, comfyui, tmp_path):
    directory = tmp_path / "env"
    (comfyui / "requirements.txt").write_text("torch\n")
    pip.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        environment.fill_environment(directory, comfyui, tests=False)
    (directory / "half").touch()
    pip.interrupted = False
    environment.fill_environment(directory, comfyui, tests=False)
    assert not (directory / "half").exists()
    assert len(pip.installed) == 1
