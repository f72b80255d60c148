"""The group photos to make, read from a JSON lines file."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..comfyui.graph import Graph
from ..evaluate.cases import Case, read_cases
from ..layout import Point
from ..poses import make_standing
from ..skeleton import draw_openpose, read_pose_keypoint

NAMESPACE = uuid.UUID("5d2c1c64-2f0e-4a53-9d0c-6f1d0b0a7d11")


class Job(NamedTuple):
    """One group photo to make; `row` is its line of the file, and `case` is read from that line."""

    row: dict[str, Any]
    case: Case
    key: str

    @property
    def prompt_id(self) -> str:
        """The id of its prompt, the same on every server and in every run."""
        return str(uuid.uuid5(NAMESPACE, self.key))


def read_jobs(path: Path, template: Graph) -> tuple[list[Job], list[str]]:
    """Return the jobs of a JSON lines file in their order, and the problems of other lines.

    A line is a case as `idpatch_core.evaluate` reads it, without a result, optionally with
    "negative" and "seed". A job's key changes with the line, the workflow and the photos.
    """
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    jobs, problems, ids = [], [], set()
    for line, case in zip(lines, read_cases(path), strict=True):
        problem = case.problem or find_missing_photos(case)
        if problem is None and case.id in ids:
            problem = f"{case.id}: another line has this id. Give each photo an id of its own."
        if problem is not None:
            problems.append(problem)
            continue
        ids.add(case.id)
        row = json.loads(line)
        row.setdefault("id", case.id)
        jobs.append(Job(row, case, job_key(row, case, template)))
    return jobs, problems


def find_missing_photos(case: Case) -> str | None:
    missing = [path for person in case.people for path in person.references if not path.is_file()]
    return f"{case.id}: no such file: {', '.join(map(str, missing))}" if missing else None


def job_key(row: dict[str, Any], case: Case, template: Graph) -> str:
    digest = hashlib.sha256(json.dumps([row, template], sort_keys=True).encode())
    for person in case.people:
        for path in person.references:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def draw_pose(case: Case, row: dict[str, Any], base: Path) -> np.ndarray | None:
    """Return a drawing (H, W, 3) of a job's poses in its size, or None if it has no size or poses.

    The poses are those of its "pose"; without one, people stand with their noses at their points.
    """
    if case.size is None:
        return None
    pose = row.get("pose")
    if pose is None:
        people = poses_at([person.point for person in case.people], *case.size)
        return None if people is None else draw_openpose(people, *case.size)
    if isinstance(pose, str):
        pose = json.loads((base / pose).read_text("utf-8"))
    frame = read_pose_keypoint(pose)[0]
    return draw_openpose(frame.scaled_to(*case.size), *case.size)


def poses_at(points: Sequence[Point | None], width: int, height: int) -> np.ndarray | None:
    """Return the poses (N, 18, 3) of standing people with their noses at these points."""
    noses = [point for point in points if point is not None]
    if not noses:
        return None
    (body,) = make_standing(1, width // len(noses), height)
    return np.stack([body + np.array([*nose, 0]) - [*body[0, :2], 0] for nose in noses])
