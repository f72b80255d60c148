"""Which jobs were sent to which server, and which are done, kept on the disk."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import journal
from .jobs import Job


class Ledger:
    """A journal of the jobs that were sent and of those that are done.

    A job is recorded before it is sent to a server, and again after its images are on the disk. So
    after a crash it is known which server to ask for a job's images before the job is sent again.
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

    def find_record(self, job: Job) -> dict[str, Any] | None:
        """Return the record of a done job whose images are all on the disk, or None."""
        record = self._done.get(job.key)
        if record and all((self._folder / name).is_file() for name in record["files"]):
            return record
        return None

    def server_of(self, job: Job) -> str | None:
        """Return the server to which a job was sent last."""
        return self._sent.get(job.key)

    def record_sent(self, job: Job, server: str) -> None:
        self._sent[job.key] = server
        self._log.append(
            {"event": "sent", "key": job.key, "id": job.case.id, "server": server}
            | {"prompt_id": job.prompt_id}
        )

    def save_images(self, job: Job, pngs: Iterable[bytes], seconds: float | None) -> None:
        """Write a job's images, then record that it is done."""
        files = []
        for number, png in enumerate(pngs):
            name = f"{file_stem(job.case.id)}{f'_{number}' if number else ''}.png"
            journal.write_whole(self._folder / name, png)
            files.append(name)
        record = {"event": "done", "key": job.key, "id": job.case.id, "files": files}
        self._log.append(record | {"seconds": seconds})
        self._done[job.key] = record | {"seconds": seconds}

    def close(self) -> None:
        self._log.close()


def file_stem(id: str) -> str:
    """Return an id as the stem of a file name; where characters are replaced, a hash is added."""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in id).strip(".")
    if safe == id:
        return safe
    return f"{safe[:60]}-{hashlib.sha256(id.encode()).hexdigest()[:8]}"


def format_results(jobs: Iterable[Job], ledger: Ledger, folder: Path, base: Path) -> str:
    """Return the done jobs as the JSON lines that `idpatch_core.evaluate` reads."""
    lines = []
    for job in jobs:
        record = ledger.find_record(job)
        if record is None:
            continue
        for number, file in enumerate(record["files"]):
            row = {
                **job.row,
                "id": job.case.id if number == 0 else f"{job.case.id}#{number}",
                "people": [
                    {
                        **person,
                        "references": [str((base / p).resolve()) for p in case_person.references],
                    }
                    for person, case_person in zip(job.row["people"], job.case.people, strict=True)
                ],
                "result": file,
                "seconds": record["seconds"],
            }
            for name in ("ground_truth", "pose"):
                if isinstance(row.get(name), str):
                    row[name] = str((base / row[name]).resolve())
            lines.append(json.dumps(row, ensure_ascii=False))
    return "".join(line + "\n" for line in lines)
