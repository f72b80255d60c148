import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from idpatch_core.comfyui.temporary import PREFIX, temporary_folder

ROOT = Path(__file__).parents[3]
HOLD = """
import subprocess, sys, time
from idpatch_core.comfyui.temporary import temporary_folder
with temporary_folder() as folder:
    (folder.path / "deep").mkdir()
    (folder.path / "deep" / "link").symlink_to(sys.argv[1], target_is_directory=True)
    child = None
    if sys.argv[2] == "child":
        fd = folder.lock.fileno()
        child = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=(fd,))
    print(folder.path, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    folders = tmp_path / "tmp"
    folders.mkdir()
    monkeypatch.setenv("TMPDIR", str(folders))
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    return folders


def hold(kept, child=""):
    """Start a process that has a temporary folder, and return both."""
    command = [sys.executable, "-c", HOLD, str(kept), child]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def end(process):
    process.kill()
    process.wait()
    process.stdin.close()  # which a child waits for
    process.stdout.close()


def test_a_folder_is_removed_with_its_block(folders):
    with temporary_folder() as folder:
        (folder.path / "file").touch()
    assert list(folders.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_by_the_next(folders, tmp_path):
    kept = tmp_path / "models"
    kept.mkdir()
    (kept / "model").touch()
    process, path = hold(kept)
    try:
        with temporary_folder():
            assert path.is_dir(), "its process is alive"
    finally:
        end(process)
    assert path.is_dir()
    with temporary_folder():
        assert not path.exists()
    assert (kept / "model").exists(), "a link was followed"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not pass open files on")
def test_a_folder_is_kept_while_a_child_of_a_killed_process_uses_it(tmp_path):
    process, path = hold(tmp_path, "child")
    process.kill()
    process.wait()
    with temporary_folder():
        assert path.is_dir()
    end(process)
    for _ in range(100):
        with temporary_folder():
            if not path.exists():
                return
    pytest.fail("it was not removed when the child had ended")


def test_folders_of_others_are_left_alone(folders, tmp_path):
    other, link = folders / f"{PREFIX}other", folders / f"{PREFIX}link"
    other.mkdir()
    link.symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / ".in-use").touch()
    with temporary_folder():
        pass
    assert other.is_dir() and link.is_symlink() and (tmp_path / ".in-use").exists()
