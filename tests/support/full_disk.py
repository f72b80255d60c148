"""Runs a module of the pack as if the disk were full: no file may be larger than a few bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
module = sys.argv[1]
del sys.argv[1:3]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def run_on_full_disk(module: str, size: int, *arguments: object) -> subprocess.CompletedProcess:
    """Run a module; each write beyond the first `size` bytes of a file fails."""
    pytest.importorskip("resource", reason="Windows has no limit for the size of files")
    return subprocess.run(
        [sys.executable, "-c", CODE, module, str(size), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
