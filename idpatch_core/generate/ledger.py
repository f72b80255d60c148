"""Which jobs were sent to which server, and which are done, kept on the disk."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from .. import journal
from ..comfyui.lock import try_lock
from ..comfyui.uploads import shorten
from ..json_lines import format_line
from .jobs import Job

ID_BYTES = 100  # of an id in a file name


class Ledger:
    """A journal of the jobs that were sent and of those that are done.

    A job is recorded before it is sent to a server, and again after its images are on the disk. So
    after a crash it is known which server to ask for a job's images before the job is sent again.
    Images are named after the id and the key of their job: a line that was edited has other ones.
    Use `open_ledger`, which keeps other processes away.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        journal.remove_parts(folder)
        path = folder / "journal.jsonl"
        self._done: dict[str, dict[str, Any]] = {}
        self._sent: dict[str, str] = {}
        for record in journal.read(path):
            match record:
                case {"event": "sent", "key": str(key), "server": str(server)}:
                    self._sent[key] = server
                case {"event": "done", "key": str(key), "files": dict(), "seconds": _}:
                    self._done[key] = record
        self._log = journal.Journal(path)

    def find_record(self, job: Job) -> dict[str, Any] | None:
        """Return the record of a done job whose images are all whole on the disk, or None."""
        record = self._done.get(job.key)
        if record is None:
            return None
        for name, size in record["files"].items():
            try:
                if (self._folder / name).stat().st_size != size:
                    return None
            except OSError:
                return None
        return record

    def server_of(self, job: Job) -> str | None:
        """Return the server to which a job was sent last."""
        return self._sent.get(job.key)

    def record_sent(self, job: Job, server: str) -> None:
        if self._sent.get(job.key) == server:
            return
        self._log.append(
            {"event": "sent", "key": job.key, "id": job.case.id, "server": server}
            | {"prompt_id": job.prompt_id}
        )
        self._sent[job.key] = server

    def save_images(self, job: Job, pngs: Iterable[bytes], seconds: float | None) -> None:
        """Write a job's images, then record that it is done."""
        files = {}
        for number, png in enumerate(pngs):
            name = f"{file_stem(job)}{f'_{number}' if number else ''}.png"
            journal.write_whole(self._folder / name, png)
            files[name] = len(png)
        record = {"event": "done", "key": job.key, "id": job.case.id, "seed": job.row["seed"]}
        record |= {"files": files, "seconds": seconds}
        self._log.append(record)
        self._done[job.key] = record

    def close(self) -> None:
        self._log.close()


@contextlib.contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """Open the ledger of a folder, which is made if it is not there.

    Raises ValueError if another process has it open.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        if is_held(lock):
            raise ValueError(f"--out: another run writes to {folder}. Wait for it, or end it.")
        with contextlib.closing(Ledger(folder)) as ledger:
            yield ledger


def is_held(lock: IO[str]) -> bool:
    """Take a lock, and tell whether another process holds it."""
    try:
        return not try_lock(lock)
    except OSError:
        return False  # a file system without locks


def file_stem(job: Job) -> str:
    """Return the name of a job's first image without its suffix."""
    stem = shorten(job.case.id, ID_BYTES).strip(".") or "photo"
    return f"{stem}-{job.key[:12]}"


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
            lines.append(format_line(row))
    return "".join(lines)
