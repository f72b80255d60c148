"""The JSON lines of `generate` and of `evaluate`, and the indices of benchmarks."""

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from idpatch_core.comfyui.workflows import load_workflow
from idpatch_core.evaluate.benchmarks import read_benchmark
from idpatch_core.evaluate.cases import parse_case, read_cases
from idpatch_core.generate.jobs import draw_pose, parse_job, read_jobs
from idpatch_core.json_lines import format_line, parse_json
from idpatch_core.poses import make_preset, to_pose_keypoint

from ..mutations import mutate_lines
from ..target import Target

MOST_DRAWN = 1024  # pixels of a side; a drawing takes the memory of its image
SIZE = 128, 96


@cache
def load_template() -> Any:
    return load_workflow("group_photo")[0]


def read_file(data: bytes, folder: Path) -> None:
    """Read a file of lines for both commands, and each line by itself.

    Both commands give whatever is wrong with a line as a text; by itself it must be one of theirs.
    """
    file = folder / "photos.jsonl"
    file.write_bytes(data)
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"\xff\xd8")
    pose = to_pose_keypoint(make_preset("standing_2", *SIZE), *SIZE)
    (folder / "pose.json").write_text(json.dumps(pose))
    jobs, problems = read_jobs(file, load_template())
    cases = read_cases(file)
    if not jobs and not problems and not cases:
        raise ValueError("no line")
    for job in jobs:
        format_line(job.row)
        if job.case.size is None or max(job.case.size) <= MOST_DRAWN:
            _read_line(lambda job=job: draw_pose(job.case, job.row, folder))
    for number, line in enumerate(data.split(b"\n"), start=1):
        _read_line(lambda line=line, n=number: _parse_line(line, n, folder))
    _read_line(lambda: _read_index(data, folder))


def _parse_line(line: bytes, number: int, folder: Path) -> None:
    row = parse_json(line)
    for parse in (
        lambda: parse_case(row, number, folder),
        lambda: parse_job(row, number, folder, load_template(), lambda file: str(file.stat())),
    ):
        _read_line(parse)


def _read_index(data: bytes, folder: Path) -> None:
    index = folder / "p1.json"
    index.write_bytes(data)
    read_benchmark(index, "results", folder, None)


def _read_line(read: Any) -> None:
    with suppress(ValueError, OSError):
        read()


def make_seeds() -> list[bytes]:
    people = [
        {"name": "Ada", "references": ["a.jpg"], "point": [30, 40]},
        {"name": "Bo", "references": "b.jpg", "point": {"x": 90, "y": 40}},
        {"references": ["a.jpg", "b.jpg"], "box": [1, 2, 30, 40]},
    ]
    case = {"id": "17", "prompt": "two", "width": SIZE[0], "height": SIZE[1], "people": people[:2]}
    posed = {**case, "id": 18, "pose": "pose.json", "negative": "none", "seed": 3}
    inline = {**case, "pose": to_pose_keypoint(make_preset("standing_2", *SIZE), *SIZE)}
    result = {"people": people, "result": "a.jpg", "system": "x", "seconds": 1.5}
    multiid = [{"prompt": "two", "image_paths": ["a.jpg", "b.jpg"], "ori_img_path": "a.jpg"}]
    multihuman = [{"prompt": "two", "people": ["a.jpg", "b.jpg"]}]
    lines = [[case], [posed, inline], [result], [case, case, {}], [multiid], [multihuman]]
    seeds = ["\n".join(map(json.dumps, rows)).encode() for rows in lines]
    return [*seeds, b"", b"\xef\xbb\xbf{}\n\n[]", b"[" * 5000]


TARGET = Target(read_file, make_seeds, mutate_lines)
