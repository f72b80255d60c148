import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from idpatch_core import journal

ROOT = Path(__file__).parents[2]


def test_records_come_back_in_order(tmp_path):
    with journal.Journal(tmp_path / "deep" / "log.jsonl") as log:
        log.append({"id": 1, "name": "Zoë"})
        log.append({"id": 2})
    assert journal.read(tmp_path / "deep" / "log.jsonl") == [{"id": 1, "name": "Zoë"}, {"id": 2}]


def test_no_file_has_no_records(tmp_path):
    assert journal.read(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize("kept", range(len(b'{"id": 2}') + 1))
def test_a_torn_line_is_dropped_and_the_next_one_stands_alone(tmp_path, kept):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"id": 1}\n' + b'{"id": 2}'[:kept])
    assert journal.read(path) == [{"id": 1}]
    with journal.Journal(path) as log:
        log.append({"id": 3})
    assert journal.read(path) == [{"id": 1}, {"id": 3}]


def test_lost_bytes_cost_only_their_line(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"id": 1}\n\0\0\0\0\0\0\n{"id": 3}\n17\n')
    assert journal.read(path) == [{"id": 1}, {"id": 3}]


def test_not_a_number_is_refused_rather_than_written(tmp_path):
    with journal.Journal(tmp_path / "log.jsonl") as log, pytest.raises(ValueError):
        log.append({"value": float("nan")})
    assert (tmp_path / "log.jsonl").read_bytes() == b""


def test_what_append_returned_from_survives_a_kill(tmp_path):
    path = tmp_path / "log.jsonl"
    code = (
        "import os, signal, sys, pathlib\n"
        "from idpatch_core import journal\n"
        "log = journal.Journal(pathlib.Path(sys.argv[1]))\n"
        "log.append({'id': 1})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=False)
    assert ended.returncode == -9
    assert journal.read(path) == [{"id": 1}]


def test_write_whole_replaces_and_leaves_nothing_else(tmp_path):
    for content in (b"old", b"new"):
        journal.write_whole(tmp_path / "file", content)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"new")]


@contextlib.contextmanager
def small_disk():
    """Let no file be larger than 100 bytes; within a test only, as pytest may write to a file."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path):
    path = tmp_path / "log.jsonl"
    with small_disk(), journal.Journal(path) as log:
        log.append({"id": 1})
        before = path.read_bytes()
        with pytest.raises(OSError, match="File too large"):
            log.append({"id": "x" * 200})
        assert path.read_bytes() == before
        log.append({"id": 3})
    assert journal.read(path) == [{"id": 1}, {"id": 3}]


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path):
    journal.write_whole(tmp_path / "file", b"old")
    with small_disk(), pytest.raises(OSError, match="File too large"):
        journal.write_whole(tmp_path / "file", b"x" * 200)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_old_parts_of_the_same_files_are_removed(tmp_path):
    old = [".people_00001_.safetensors.7.part", ".[a]_1.txt.7.part", ".other_1.txt.7.part"]
    for name in old:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".people_00002_.safetensors.8.part").touch()  # of a process that writes now
    for stem in ("people_", "[a]_"):
        journal.remove_old_parts(tmp_path, stem)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".other_1.txt.7.part", ".people_00002_.safetensors.8.part"]


def test_parts_of_killed_processes_are_removed(tmp_path):
    for name in (".file.123.part", ".file", "file.part"):
        (tmp_path / name).touch()
    journal.remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file", "file.part"]
