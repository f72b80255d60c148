"""The group photos to make, read from a JSON lines file."""

import hashlib
import json
import reprlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..comfyui.graph import Graph
from ..comfyui.uploads import hash_content
from ..evaluate.case import Case
from ..evaluate.cases import describe, parse_case
from ..json_lines import read_json, read_lines
from ..layout import Point
from ..pose_reader import read_pose_keypoint
from ..poses import make_standing
from ..read_image import describe_unread, is_heif
from ..skeleton import draw_openpose

NAMESPACE = uuid.UUID("5d2c1c64-2f0e-4a53-9d0c-6f1d0b0a7d11")
MAX_SEED = 2**64 - 1  # ComfyUI's
MIN_IMAGE_SIDE, MAX_IMAGE_SIDE = 64, 16384  # pixels; the Patch Placer's


class Job(NamedTuple):
    """One group photo to make.

    `row` is its line of the file with an id and a seed, and `case` is read from that line;
    `digests` are the hashes of each person's references.
    """

    row: dict[str, Any]
    case: Case
    key: str
    digests: tuple[tuple[str, ...], ...]

    @property
    def prompt_id(self) -> str:
        """The id of its prompt, the same on every server and in every run."""
        return str(uuid.uuid5(NAMESPACE, self.key))


def read_jobs(path: Path, template: Graph) -> tuple[list[Job], list[str]]:
    """Return the jobs of a JSON lines file in their order, and the problems of other lines.

    A line is a case as `idpatch_core.evaluate` reads it, without a result, optionally with
    "negative" and "seed". A job's key changes with the line, the workflow and the files that the
    line names. Raises ValueError if the file cannot be read.
    """
    jobs, problems, lines_of = [], [], {}
    hashes: dict[Path, str] = {}  # each file is read once

    def hash_file(file: Path) -> str:
        if file not in hashes:
            content = file.read_bytes()
            if is_heif(content):  # which only some servers read
                raise ValueError(f"{file.name}: {describe_unread(content)}.")
            hashes[file] = hash_content(content)
        return hashes[file]

    for line in read_lines(path):
        where = f"{path.name}, line {line.number}"
        if line.problem is not None:
            problems.append(line.problem)
            continue
        try:
            job = parse_job(line.value, line.number, path.parent, template, hash_file)
        except Exception as error:  # whatever is wrong with a line costs that line only
            problems.append(f"{where}: {describe(error)}")
            continue
        first = lines_of.setdefault(job.case.id, line.number)
        if first == line.number:
            jobs.append(job)
        else:
            problems.append(
                f'{where}: line {first} has the "id" {job.case.id!r} too. '
                "Give each photo an id of its own."
            )
    return jobs, problems


def parse_job(
    row: Any, number: int, base: Path, template: Graph, hash_file: Callable[[Path], str]
) -> Job:
    """Return the job of a line; raises ValueError or OSError, which say what is wrong with it."""
    case = parse_case(row, number, base)
    digests = tuple(tuple(map(hash_file, person.references)) for person in case.people)
    row = {**row, "id": case.id}
    if row.get("seed") is None:
        row["seed"] = seed_of(case.id)
    check_row(row, case)
    files: list[Any] = [digests]
    if isinstance(row.get("pose"), str):
        files.append(hash_file(base / row["pose"]))
    content = json.dumps([row, template, files], sort_keys=True)
    return Job(row, case, hashlib.sha256(content.encode()).hexdigest()[:32], digests)


def seed_of(id: str) -> int:
    """Return the seed of a job without one, which JavaScript's numbers hold exactly."""
    return int(hashlib.sha256(f"seed of {id}".encode()).hexdigest()[:13], 16)


def check_row(row: dict[str, Any], case: Case) -> None:
    seed = row["seed"]
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise ValueError(
            f'"seed": expected a whole number from 0 to {MAX_SEED}, got {reprlib.repr(seed)}.'
        )
    negative = row.get("negative")
    if not isinstance(negative, str | None):
        raise ValueError(f'"negative": expected a text, got {reprlib.repr(negative)}.')
    if case.size is not None and not all(
        MIN_IMAGE_SIDE <= side <= MAX_IMAGE_SIDE for side in case.size
    ):
        width, height = case.size
        raise ValueError(
            f'"width" and "height": expected {MIN_IMAGE_SIDE} to {MAX_IMAGE_SIDE} pixels, '
            f"got {width} and {height}."
        )


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
        pose = read_json(base / pose)
    frame = read_pose_keypoint(pose)[0]
    return draw_openpose(frame.scaled_to(*case.size), *case.size)


def poses_at(points: Sequence[Point | None], width: int, height: int) -> np.ndarray | None:
    """Return the poses (N, 18, 3) of standing people with their noses at these points."""
    noses = [point for point in points if point is not None]
    if not noses:
        return None
    (body,) = make_standing(1, width // len(noses), height)
    return np.stack([body + np.array([*nose, 0]) - [*body[0, :2], 0] for nose in noses])
