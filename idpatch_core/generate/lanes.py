"""Runs jobs on servers in threads of this process."""

import contextlib
import queue
import threading
from collections.abc import Callable

from ..comfyui.events import Event
from .attempt import attempt_job, probe_server
from .dispatch import IN_FLIGHT, Report
from .jobs import Job
from .worker import Worker


class ThreadLanes:
    """The workers by server, each with as many threads as it has jobs at a time."""

    def __init__(self, workers: dict[str, Worker], on_event: Callable[[Job, Event], None]):
        self.servers = list(workers)
        self._on_event = on_event
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        # A task is a job and whether it was sent before; a probe is a job of None.
        self._tasks = {
            server: queue.SimpleQueue[tuple[Job | None, bool]]() for server in self.servers
        }
        for server, worker in workers.items():
            for _ in range(IN_FLIGHT):
                threading.Thread(target=self._serve, args=(server, worker), daemon=True).start()

    def _serve(self, server: str, worker: Worker) -> None:
        while True:
            job, sent_before = self._tasks[server].get()
            if job is None:
                attempt = probe_server(worker)
            else:
                attempt = attempt_job(worker, job, sent_before, self._on_event)
            self._reports.put(Report(server, job, attempt))

    def submit(self, server: str, job: Job, sent_before: bool) -> None:
        self._tasks[server].put((job, sent_before))

    def probe(self, server: str) -> None:
        self._tasks[server].put((None, False))

    def wait(self, seconds: float) -> list[Report]:
        with contextlib.suppress(queue.Empty):
            return [self._reports.get(timeout=seconds)]
        return []
