"""The group photos to make, and what is known of each."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import journal
from ..comfyui.graph import Graph
from ..evaluate.cases import Case, read_cases
from ..layout import Point
from ..poses import make_standing

NAMESPACE = uuid.UUID("5d2c1c64-2f0e-4a53-9d0c-6f1d0b0a7d11")


class Job(NamedTuple):
    """One group photo to make; `row` is its line of the file, `case` the same, understood."""

    row: dict[str, Any]
    case: Case
    key: str

    @property
    def prompt_id(self) -> str:
        """The id of its prompt on every server: the same job never has two."""
        return str(uuid.uuid5(NAMESPACE, self.key))


def read_jobs(path: Path, template: Graph) -> tuple[list[Job], list[str]]:
    """Return the jobs of a JSONL file in its order, and what is wrong with other lines.

    A line is a case as `idpatch_core.evaluate` reads it, without a result, and optionally
    "negative" and "seed". A job's key changes with the line, the workflow and the photographs.
    """
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    jobs, problems, ids = [], [], set()
    for line, case in zip(lines, read_cases(path), strict=True):
        problem = case.problem or _missing(case)
        if problem is None and case.id in ids:
            problem = f"{case.id}: this id came before. Give every photo its own."
        if problem is not None:
            problems.append(problem)
            continue
        ids.add(case.id)
        row = json.loads(line)
        row.setdefault("id", case.id)
        jobs.append(Job(row, case, _key(row, case, template)))
    return jobs, problems


def _missing(case: Case) -> str | None:
    missing = [path for person in case.people for path in person.references if not path.is_file()]
    return f"{case.id}: missing {', '.join(map(str, missing))}" if missing else None


def _key(row: dict[str, Any], case: Case, template: Graph) -> str:
    digest = hashlib.sha256(json.dumps([row, template], sort_keys=True).encode())
    for person in case.people:
        for path in person.references:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def pose_picture(case: Case, row: dict[str, Any], base: Path) -> np.ndarray | None:
    """Return a drawing (H, W, 3) of a job's poses in its size.

    They are those of its "pose"; without one everybody with a point stands there. None where
    neither is known, or no size.
    """
    from ..skeleton import draw_openpose, read_pose_keypoint

    if case.size is None:
        return None
    pose = row.get("pose")
    if pose is None:
        people = _standing_at([person.point for person in case.people], *case.size)
        return None if people is None else draw_openpose(people, *case.size)
    if isinstance(pose, str):
        pose = json.loads((base / pose).read_text("utf-8"))
    frame = read_pose_keypoint(pose)[0]
    return draw_openpose(frame.scaled_to(*case.size), *case.size)


def _standing_at(points: Sequence[Point | None], width: int, height: int) -> np.ndarray | None:
    """Return standing people (N, 18, 3) with their noses at these points."""
    there = [point for point in points if point is not None]
    if not there:
        return None
    (body,) = make_standing(1, width // len(there), height)
    return np.stack([body + np.array([*point, 0]) - [*body[0, :2], 0] for point in there])


class Ledger:
    """What was sent where and what is done, kept on the disk.

    Before a job goes to a server the ledger says so; after its pictures are on the disk it says
    that too. So after a crash it is known which server to ask for a job's pictures before the job
    is sent again.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        path = folder / "journal.jsonl"
        self._done: dict[str, dict[str, Any]] = {}
        self._sent: dict[str, str] = {}
        for record in journal.read(path):
            if record.get("event") == "sent":
                self._sent[record["key"]] = record["server"]
            elif record.get("event") == "done":
                self._done[record["key"]] = record
        self._log = journal.Journal(path)

    def done(self, job: Job) -> dict[str, Any] | None:
        """Return the record of a job whose pictures are all there, or None."""
        record = self._done.get(job.key)
        if record and all((self._folder / name).is_file() for name in record["files"]):
            return record
        return None

    def server_of(self, job: Job) -> str | None:
        """Return the server that a job was sent to last."""
        return self._sent.get(job.key)

    def send(self, job: Job, server: str) -> None:
        self._sent[job.key] = server
        self._log.append(
            {"event": "sent", "key": job.key, "id": job.case.id, "server": server}
            | {"prompt_id": job.prompt_id}
        )

    def finish(self, job: Job, pictures: Iterable[bytes], seconds: float | None) -> None:
        """Keep a job's pictures, then say that it is done."""
        files = []
        for number, picture in enumerate(pictures):
            name = f"{_safe(job.case.id)}{f'_{number}' if number else ''}.png"
            journal.write_whole(self._folder / name, picture)
            files.append(name)
        record = {"event": "done", "key": job.key, "id": job.case.id, "files": files}
        self._log.append(record | {"seconds": seconds})
        self._done[job.key] = record | {"seconds": seconds}

    def close(self) -> None:
        self._log.close()


def _safe(id: str) -> str:
    """Return an id as a file name; a hash keeps apart what the replacement makes equal."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in id).strip(".")
    if plain == id:
        return plain
    return f"{plain[:60]}-{hashlib.sha256(id.encode()).hexdigest()[:8]}"


def results(jobs: Iterable[Job], ledger: Ledger, folder: Path, base: Path) -> str:
    """Return the finished jobs as the JSON lines that `idpatch_core.evaluate` reads."""
    lines = []
    for job in jobs:
        record = ledger.done(job)
        if record is None:
            continue
        for number, file in enumerate(record["files"]):
            row = {
                **job.row,
                "id": job.case.id if number == 0 else f"{job.case.id}#{number}",
                "people": [
                    {
                        **person,
                        "references": [str((base / p).resolve()) for p in understood.references],
                    }
                    for person, understood in zip(job.row["people"], job.case.people, strict=True)
                ],
                "result": file,
                "seconds": record["seconds"],
            }
            for name in ("ground_truth", "pose"):
                if isinstance(row.get(name), str):
                    row[name] = str((base / row[name]).resolve())
            lines.append(json.dumps(row, ensure_ascii=False))
    return "".join(line + "\n" for line in lines)
