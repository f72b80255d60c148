"""Measures what ID-Patch costs, and writes the results and the tables of the documents.

    python3 -m tests.benchmarks                    every part that this machine can run
    python3 -m tests.benchmarks PART [OPTIONS]     one part; --help lists its options
    python3 -m tests.benchmarks --tables           the tables alone, from the results that are there

Each part runs in a process of its own and writes results/PART.json, with its command, hardware and
versions. The ComfyUI is that of COMFYUI_PATH or of `python3 -m tests`.
"""

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from idpatch_core.comfyui import environment

from . import tables

ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "arithmetic": "operations of a run at SDXL's size, counted",
    "sampling": "time and memory of a sampling step beside the same ControlNet",
    "loading": "loading the projections beside reading the file",
    "faces": "encoding faces beside the bare networks",
    "imports": "what the pack adds to ComfyUI's start",
    "reruns": "nodes that a live server runs again after a change",
    "early_end": "likeness when ControlNet or guidance end early (an hour or more)",
    "verify": "Verify Identities beside its detector and encoder",
    "training": "a training step beside a plain ControlNet step",
    "placer": "frame times of the editor (needs Chromium)",
}


def main(arguments: list[str]) -> int:
    if arguments[:1] in (["--help"], ["-h"]):
        print(__doc__)
        print("\n".join(f"    {name:<12}{words}" for name, words in PARTS.items()))
        return 0
    if arguments[:1] == ["--measure"]:
        return measure_part(arguments[1], Path(arguments[2]), arguments[3:])
    parts = arguments[:1] if arguments and arguments != ["--tables"] else list(PARTS)
    if unknown := set(parts) - set(PARTS):
        print(f"error: unknown part {', '.join(unknown)}\n\n{__doc__}", file=sys.stderr)
        return 2
    failed = []
    if arguments != ["--tables"]:
        try:
            here = environment.prepare_environment(tests=True)
        except environment.SetupError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        failed = [part for part in parts if not run_part(here, part, arguments[1:])]
    for path in tables.write_tables():
        print(f"Wrote {path.relative_to(ROOT)}")
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run_part(here: environment.Environment, part: str, options: list[str]) -> bool:
    """Run a part in a process of its own; return whether it succeeded."""
    print(f"== {part}", flush=True)
    tables.RESULTS.mkdir(exist_ok=True)
    path = tables.result_path(part)
    command = [str(here.python), "-m", "tests.benchmarks", "--measure", part, str(path), *options]
    variables = {**os.environ, "COMFYUI_PATH": str(here.comfyui)}
    return subprocess.run(command, cwd=ROOT, env=variables).returncode == 0


def measure_part(part: str, path: Path, arguments: list[str]) -> int:
    """Measure a part in this process, print its table, and write its result to `path`."""
    module = importlib.import_module(f"tests.benchmarks.{part}")
    parser = argparse.ArgumentParser(
        prog=f"python3 -m tests.benchmarks {part}",
        description=module.__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    module.add_options(parser)
    options = parser.parse_args(arguments)
    result = module.measure(options)
    from .machine import describe_machine

    told = re.sub(r" --journal \S+", "", " ".join(["", *arguments]))  # it changes no figure
    command = f"python3 -m tests.benchmarks {part}{told}"
    document: dict[str, Any] = {"command": command, "date": date.today().isoformat()}
    document |= {"machine": describe_machine(), "result": result}
    print(tables.TABLES[part](document))
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
