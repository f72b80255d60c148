"""Fuzzes what reads files and texts of strangers, guided by the code that inputs reach.

    python3 -m tests.fuzz TARGET [--minutes 20] [--out FOLDER] [--longest BYTES]

TARGET is one of checkpoints, identities, placements, poses, json_lines, captions and images. Needs
atheris (Linux; CPython 3.11 to 3.13), which nothing else needs. In the environment of the tests,
or beside it with the folder in PYTHONPATH:

    python -m pip install --target FOLDER "atheris>=3"

An input is to raise no exception but the project's own errors, and to take no more memory than
three times its size and a constant of its target. Findings and figures go to FOLDER/findings (by
default in results/fuzz/TARGET). An input that was found and mended is kept in
tests/fuzz/found/TARGET, where `pytest tests/fuzz` reads it again, without atheris.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from idpatch_core.comfyui import environment

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("checkpoints", "identities", "placements", "poses", "json_lines", "captions", "images")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=Path, help="default: results/fuzz/TARGET")
    parser.add_argument("--longest", type=int, default=1 << 16, help="bytes of an input")
    parser.add_argument("--here", action="store_true", help="in this interpreter")
    options = parser.parse_args(arguments)
    out = (options.out or ROOT / "results" / "fuzz" / options.target).resolve()
    out.mkdir(parents=True, exist_ok=True)
    if options.here:
        if importlib.util.find_spec("atheris") is None:
            parser.error('atheris is missing: python -m pip install --target FOLDER "atheris>=3"')
        from .harness import fuzz

        fuzz(options.target, options.minutes * 60, out, options.longest)
    try:
        here = environment.prepare_environment(tests=True)
    except environment.SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = [str(here.python), "-m", "tests.fuzz", options.target, "--here", "--out", str(out)]
    command += ["--minutes", str(options.minutes), "--longest", str(options.longest)]
    variables = {**os.environ, "COMFYUI_PATH": str(here.comfyui), "OMP_NUM_THREADS": "1"}
    code = subprocess.run(command, cwd=ROOT, env=variables).returncode
    figures = out / "findings" / "figures.json"
    if code or not figures.is_file():
        print(f"error: fuzzing ended with {code}", file=sys.stderr)
        return 1
    print(figures.read_text())
    return 1 if json.loads(figures.read_text())["findings"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
