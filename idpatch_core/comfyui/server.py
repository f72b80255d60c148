"""Starts a ComfyUI server on a loopback port and always stops it again."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from .environment import REPOSITORY
from .temporary import temporary_folder

START_SECONDS = 300.0
STOP_SECONDS = 10.0
LOG_LINES = 40


class Server(NamedTuple):
    url: str
    base: Path  # its --base-directory
    log: Path
    process_id: int  # also the id of its process group


class ServerError(RuntimeError):
    """The server did not start; the message ends with the last lines of its log."""


def make_base_directory(
    directory: Path, models: dict[str, Path], packs: Sequence[Path] = ()
) -> Path:
    """Make a folder for `--base-directory` with links to this pack, other `packs` and model files.

    `models` maps a path below `models/` to the real file.
    """
    nodes = directory / "custom_nodes"
    nodes.mkdir(parents=True)
    (nodes / "ComfyUI-ID-Patch").symlink_to(REPOSITORY, target_is_directory=True)
    for pack in packs:
        (nodes / pack.name).symlink_to(pack, target_is_directory=True)
    for name, file in models.items():
        link = directory / "models" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.resolve())
    return directory


@contextlib.contextmanager
def comfyui_server(
    python: Path | str,
    comfyui: Path,
    models: dict[str, Path] | None = None,
    *,
    cpu: bool = True,
    packs: Sequence[Path] = (),
    arguments: Sequence[str] = (),
    base: Path | None = None,
) -> Iterator[Server]:
    """Run a ComfyUI while the block runs, and yield it.

    Its base directory is `base`, with the models and packs in it, or else a temporary one with this
    pack, `models` and `packs` (see `make_base_directory`). The server has a process group
    of its own. It ends with the block, with Ctrl-C, and with SIGTERM or SIGHUP to this process (if
    this is the main thread); on Linux the kernel ends it even if this process is killed.
    """
    with temporary_folder() as temporary, terminating_signals_raise():
        base = base or make_base_directory(temporary.path / "base", models or {}, packs)
        port = free_port()
        command = [str(python), "-s", str(comfyui / "main.py")]
        command += ["--listen", "127.0.0.1", "--port", str(port)]
        command += ["--base-directory", str(base), "--disable-auto-launch"]
        # ComfyUI keeps its database beside its own code, where two servers would lock each other.
        command += ["--database-url", "sqlite:///:memory:", *arguments]
        if cpu:
            command.append("--cpu")
        log = temporary.path / "comfyui.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=comfyui,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={key: os.environ[key] for key in os.environ if key != "PYTHONPATH"},
                **_own_process_group(temporary.lock),
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_up(url, process, log)
            yield Server(url, base, log, process.pid)
        finally:
            stop(process)


def _own_process_group(inherited: IO[str]) -> dict[str, Any]:
    """Return the options of Popen that start a process in a group of its own with an open file."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    linux = sys.platform == "linux"
    die_with_parent = _die_with_parent if linux else None
    descriptors = (inherited.fileno(),)
    return {
        "start_new_session": True,
        "preexec_fn": die_with_parent,
        "pass_fds": descriptors,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(url: str, process: subprocess.Popen, log: Path) -> None:
    """Wait for a server to answer; raises ServerError if it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"ComfyUI ended with code {process.returncode}.\n{tail(log)}")
        try:
            with urllib.request.urlopen(f"{url}/system_stats", timeout=5) as answer:
                json.load(answer)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ServerError(f"ComfyUI did not answer within {START_SECONDS:.0f} s.\n{tail(log)}")


def tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])


def stop(process: subprocess.Popen) -> None:
    """End a process and all that it started."""
    if sys.platform == "win32":
        taskkill = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(taskkill, capture_output=True)
        process.wait(STOP_SECONDS)
        return
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def terminating_signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that `finally` runs."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    kinds = [signal.SIGTERM]
    if sys.platform != "win32":
        kinds.append(signal.SIGHUP)
    try:
        before = {kind: signal.signal(kind, leave) for kind in kinds}
    except ValueError:  # not the main thread, which alone handles signals
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # another thread closes what the main one opened
            for kind, handler in before.items():
                signal.signal(kind, handler)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
