"""Tests the pack in a given ComfyUI, and writes the README's statement of tested versions.

    python3 -m tests.versions COMFYUI             all tiers, in the Python of that folder
    python3 -m tests.versions COMFYUI --python PYTHON --tiers nodes live
    python3 -m tests.versions --readme            write the README from tests/versions.json alone

Each tier but `core`, which does not need ComfyUI, runs twice: without and with dynamic VRAM, or
once with `--dynamic-vram off` or `on`. The browser tier runs the frontend that is installed and the
newest one (`--frontend` names its files), each in both renderers. The Python needs ComfyUI's
requirements and the extra `test`. Each result is written to tests/versions.json when its run ends,
where it replaces that of the same ComfyUI, tier and dynamic VRAM.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from idpatch_core.comfyui.environment import SetupError, given_python, say

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "tests" / "versions.json"
README = ROOT / "README.md"
START, END = "<!-- written by python3 -m tests.versions -->", "<!-- end of tested versions -->"
TIERS = {
    "core": ["tests/idpatch_core", "-m", "not training and not slow"],
    "nodes": ["tests/nodes", "tests/test_docs.py", "tests/test_node_files.py"],
    "live": ["tests/live"],
    "browser": ["tests/browser"],
}
DYNAMIC_VRAM = {"both": (False, True), "off": (False,), "on": (True,)}
FACTS = """
import importlib.metadata, json, platform, runpy, sys
comfyui = runpy.run_path(sys.argv[1] + "/comfyui_version.py")["__version__"]
version = importlib.metadata.version
print(json.dumps({
    "comfyui": comfyui,
    "frontend": version("comfyui-frontend-package"),
    "python": platform.python_version(),
    "torch": version("torch"),
    "system": platform.system(),
}))
"""


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    failed = []
    if options.comfyui:
        comfyui = options.comfyui.resolve()
        python = options.python or given_python(comfyui)
        if not (comfyui / "main.py").is_file() or python is None:
            raise SetupError(f"{comfyui} is not a ComfyUI folder, or has no Python: use --python.")
        # Not resolved: that would leave the environment.
        for result in run_tiers(comfyui, Path(python).absolute(), options):
            write_results(merge(read_results(), result))
            README.write_text(update_readme(), encoding="utf-8")
            failed += [run for run in result["runs"] if run["failed"]]
    README.write_text(update_readme(), encoding="utf-8")
    for run in failed:
        say(f"Failed in {describe_run(run)}:\n  " + "\n  ".join(run["failed"]))
    return 1 if failed else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python3 -m tests.versions", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("comfyui", type=Path, nargs="?", help="the folder of a ComfyUI")
    parser.add_argument("--python", type=Path, help="the Python that runs it")
    parser.add_argument("--frontend", type=Path, help="a frontend's files; else PyPI's newest")
    parser.add_argument("--tiers", nargs="+", choices=TIERS, default=list(TIERS))
    parser.add_argument(
        "--dynamic-vram", choices=DYNAMIC_VRAM, default="both", help="run without it, with it, both"
    )
    parser.add_argument("--readme", action="store_true", help="only write the README")
    options = parser.parse_args(arguments)
    if (options.comfyui is None) != options.readme:
        parser.error("name the folder of a ComfyUI, or use --readme alone")
    return options


def run_tiers(comfyui: Path, python: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Run tiers in a ComfyUI; after each run yield the versions and what the run gave."""
    facts = json.loads(subprocess.check_output([python, "-c", FACTS, comfyui], text=True))
    say(f"== ComfyUI {facts['comfyui']}, Python {facts['python']}, PyTorch {facts['torch']}")
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    for tier in options.tiers:
        for dynamic_vram in (False,) if tier == "core" else DYNAMIC_VRAM[options.dynamic_vram]:
            command = [python, "-m", "pytest", *TIERS[tier]]
            command += ["--dynamic-vram"] if dynamic_vram else []
            if options.frontend:
                command += ["--newest-frontend", options.frontend.resolve()]
            run = {"tier": tier, "dynamic_vram": dynamic_vram}
            say(f"== {describe_run(run)}")
            runs = [{**run, **run_pytest(comfyui, command)}]
            yield {**facts, "date": today, "runs": runs}


def run_pytest(comfyui: Path, command: list[Any]) -> dict[str, Any]:
    """Run pytest and return how many tests passed, and the names of those that failed."""
    variables = {**os.environ, "COMFYUI_PATH": str(comfyui), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        done = subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, env=variables)
        if not report.is_file():
            return {"passed": 0, "skipped": 0, "failed": [f"pytest ended with {done.returncode}"]}
        return read_report(report)


def read_report(report: Path) -> dict[str, Any]:
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [
        f"{case.get('classname')}.{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {"passed": len(cases) - len(failed) - skipped, "skipped": skipped, "failed": failed}


def describe_run(run: dict[str, Any]) -> str:
    return f"{run['tier']}{' with dynamic VRAM' if run['dynamic_vram'] else ''}"


def read_results() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []


def write_results(results: list[dict[str, Any]]) -> None:
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def merge(results: list[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Replace the runs of the same ComfyUI, tiers and flags; all, if its other versions changed."""
    kept = [result for result in results if result["comfyui"] != new["comfyui"]]
    same = [result for result in results if result["comfyui"] == new["comfyui"]]
    facts = ("frontend", "python", "torch", "system")
    again = {rank_run(run) for run in new["runs"]}
    before = [
        run
        for result in same
        if all(result[fact] == new[fact] for fact in facts)
        for run in result["runs"]
        if rank_run(run) not in again
    ]
    runs = sorted([*before, *new["runs"]], key=rank_run)
    return sorted([*kept, {**new, "runs": runs}], key=version_of)


def rank_run(run: dict[str, Any]) -> tuple[int, bool]:
    """Return the place of a run's tier in TIERS, and whether it had dynamic VRAM."""
    return list(TIERS).index(run["tier"]), run["dynamic_vram"]


def version_of(result: dict[str, Any]) -> list[int]:
    return [int(part) for part in result["comfyui"].split(".") if part.isdigit()]


def update_readme() -> str:
    """Return the README with the table of the results."""
    before, rest = README.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n\n{make_table(read_results())}\n\n{END}{after}"


def make_table(results: list[dict[str, Any]]) -> str:
    lines = ["| ComfyUI | Frontend | Python | PyTorch | Tests passed |", "|---|---|---|---|---|"]
    for result in results:
        runs = [
            f"{describe_run(run)} {run['passed']} of {run['passed'] + len(run['failed'])}"
            for run in result["runs"]
        ]
        cells = [result[fact] for fact in ("comfyui", "frontend", "python", "torch")]
        lines.append(f"| {' | '.join([*cells, '; '.join(runs)])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
