"""The command `python3 -m tests` passes the right arguments to pytest."""

import pytest

from tests import __main__ as command
from tests.javascript import FOLDERS, PACKAGES


@pytest.mark.parametrize(
    "argument",
    ["tests", "tests/nodes", "tests/test_main.py", "tests/test_main.py::test_tiers"],
)
def test_files_folders_and_single_tests_are_paths(argument):
    assert command.is_test(argument)


@pytest.mark.parametrize("argument", ["nodes", "-k", "--slow", "canvas", "tests/no_such_file.py"])
def test_other_arguments_are_no_paths(argument):
    assert not command.is_test(argument)


def test_tiers(monkeypatch):
    monkeypatch.setattr(command, "have_chromium", lambda: True)
    everything = command.pytest_options([], [])
    assert everything == ["--durations=10", "--durations-min=1"]
    assert command.pytest_options(["--slow", "-x"], []) == [*everything, "-x", "-m", ""]
    fast = command.pytest_options(["--fast"], [])
    assert fast == [*everything, "-m", command.FAST]
    assert command.FAST.count("not ") == 4


def test_a_path_leaves_chromium_alone_unless_it_is_the_browsers(monkeypatch):
    monkeypatch.setattr(command, "have_chromium", lambda: False)
    assert command.pytest_options(["tests/nodes"], ["tests/nodes"]) == ["tests/nodes"]
    paths = ["tests/browser"]
    assert command.pytest_options(paths, paths) == [*paths, "--ignore", "tests/browser"]
    assert command.pytest_options([], [])[-2:] == ["--ignore", "tests/browser"]


def test_the_hook_before_a_commit_is_the_same_biome():
    hooks = (command.ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert [package for package in PACKAGES if package in hooks] == [PACKAGES[1]]
    assert f"biome check --write --error-on-warnings {' '.join(FOLDERS)}\n" in hooks
