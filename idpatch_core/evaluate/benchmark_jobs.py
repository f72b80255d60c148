"""Turns a benchmark's cases into jobs for `idpatch_core.generate`.

    python -m idpatch_core.evaluate.benchmark_jobs p2.json jobs.jsonl [--area 1048576]
    python -m idpatch_core.generate jobs.jsonl --out results
    python -m idpatch_core.evaluate results --scorer recogniser.onnx

The benchmark is an index of MultiID-Bench, a folder of its cases (`meta.json`, `ref_1.jpg`, …), or
MultiHuman-Testbench's metadata. The real photo goes along as `ground_truth`, which `evaluate` needs
for Sim(GT) and copy-paste.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..journal import write_whole
from .case import Case
from .cases import read_cases

AREA = 1024 * 1024  # pixels, SDXL's
MULTIPLE = 8  # of which both sides are multiples


def fit_size(size: tuple[int, int], area: int) -> tuple[int, int]:
    """Return about this area in the aspect of a size (width, height), in multiples of 8."""
    scale = (area / (size[0] * size[1])) ** 0.5
    width, height = (max(round(side * scale / MULTIPLE), 1) * MULTIPLE for side in size)
    return width, height


def make_job(case: Case, area: int = AREA) -> dict[str, Any]:
    """Return the line of a case; paths are absolute, points are those of the resized image."""
    size = case.size or (1, 1)
    width, height = fit_size(size, area)
    people = []
    for person in case.people:
        references = [str(path.absolute()) for path in person.references]
        row: dict[str, Any] = {"name": person.name, "references": references}
        if person.point is not None:
            x, y = person.point
            row["point"] = [round(x * width / size[0], 2), round(y * height / size[1], 2)]
        people.append(row)
    job: dict[str, Any] = {"id": case.id, "prompt": case.prompt, "width": width, "height": height}
    if case.truth is not None:
        job["ground_truth"] = str(case.truth.absolute())
    return {**job, "people": people}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.evaluate.benchmark_jobs",
        description="Turns the cases of MultiID-Bench or MultiHuman-Testbench into jobs for "
        "idpatch_core.generate.",
    )
    parser.add_argument("benchmark", type=Path, help="index, metadata, or folder of cases")
    parser.add_argument("jobs", type=Path, help="file to write, .jsonl")
    parser.add_argument("--root", type=Path, help="folder that the benchmark's paths refer to")
    parser.add_argument("--area", type=int, default=AREA, help="pixels of an image")
    options = parser.parse_args(arguments)
    try:
        cases = read_cases(options.benchmark, "jobs", options.jobs.parent, options.root)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    jobs = [make_job(case, options.area) for case in cases if case.problem is None]
    lines = "".join(json.dumps(job, ensure_ascii=False) + "\n" for job in jobs)
    write_whole(options.jobs, lines.encode())
    for case in cases:
        if case.problem is not None:
            print(f"left out: {case.id}: {case.problem}", file=sys.stderr)
    print(f"{options.jobs}: {len(jobs)} of {len(cases)} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
