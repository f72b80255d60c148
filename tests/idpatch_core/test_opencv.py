"""OpenCV that is missing or broken: one sentence that mends it."""

import subprocess
import sys
from pathlib import Path

import pytest

from idpatch_core import opencv

ROOT = Path(__file__).parents[2]
BROKEN = {
    "raise AttributeError('_ARRAY_API not found')": "_ARRAY_API not found",
    "raise ImportError('libGL.so.1: cannot open shared object file')": "libGL",
    "raise ImportError('numpy.core.multiarray failed to import')": "multiarray",
    "import no_such_module": "no_such_module",
    "__version__ = '4.5.1'; warpAffine = 0": "version 4.5.1 without FaceDetectorYN",
    "": "version unknown without FaceDetectorYN",
}


@pytest.fixture
def refusal(monkeypatch, tmp_path):
    """Import an OpenCV of this content beside these packages, and return the error."""

    def refuse(content: str | None, installed: tuple[str, ...]) -> str:
        monkeypatch.setattr(opencv, "_is_installed", lambda package: package in installed)
        if content is None:
            monkeypatch.setitem(sys.modules, "cv2", None)
        else:
            (tmp_path / "cv2").mkdir()
            (tmp_path / "cv2" / "__init__.py").write_text(content)
            monkeypatch.syspath_prepend(tmp_path)
            monkeypatch.delitem(sys.modules, "cv2", raising=False)
        with pytest.raises(ImportError) as error:
            opencv.import_cv2()
        return str(error.value)

    return refuse


def test_a_missing_opencv_is_installed(refusal):
    message = refusal(None, ())
    assert message.endswith(f'"{sys.executable}" -m pip install opencv-python-headless')


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_opencv_is_removed_first(refusal, content):
    message = refusal(content, ("opencv-python", "opencv-python-headless"))
    assert BROKEN[content] in message
    pip = f'"{sys.executable}" -m pip'
    packages = "opencv-python opencv-python-headless"
    assert message.endswith(
        f"{pip} uninstall -y {packages} && {pip} install opencv-python-headless"
    )


def test_the_modules_of_contrib_are_kept(refusal):
    assert refusal("", ("opencv-contrib-python",)).endswith(
        "install opencv-contrib-python-headless"
    )


def test_a_folder_that_no_package_owns_is_named(refusal, tmp_path):
    assert f"delete the folder {tmp_path / 'cv2'}, then" in refusal("", ())


def test_install_py_runs_no_pip():
    ran = subprocess.run(
        [sys.executable, "-I", ROOT / "install.py"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("[ID-Patch] OpenCV ")
    assert "subprocess" not in (ROOT / "install.py").read_text()
