"""Decides which server gets which job, tries failed jobs again, and waits for servers."""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from ..comfyui.errors import ComfyError
from .attempt import Attempt
from .jobs import Job
from .ledger import Ledger
from .worker import JobImages

IN_FLIGHT = 2  # jobs of a server: while it runs one, the next one waits in its queue
MAX_TRIES = 3  # of a job that fails by chance, or whose server ends while it runs
MAX_LOSSES = 10  # of a job whose server stops answering before it runs
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0  # seconds between tries; each is twice the one before
MAX_WAIT = 1.0  # seconds; on Windows, Ctrl-C has no effect while waiting


class Report(NamedTuple):
    """What a server returned: the attempt at a job, or whether it answers if `job` is None."""

    server: str
    job: Job | None
    attempt: Attempt


class Lanes(Protocol):
    """Runs jobs on servers; `wait` returns the reports on what was submitted and probed."""

    @property
    def servers(self) -> Sequence[str]: ...
    def submit(self, server: str, job: Job, sent_before: bool) -> None: ...
    def probe(self, server: str) -> None: ...
    def wait(self, seconds: float) -> list[Report]: ...


class Callbacks(NamedTuple):
    on_done: Callable[[Job, JobImages], None]
    on_failure: Callable[[Job, str], None]
    on_notice: Callable[[str], None]


class Task(NamedTuple):
    """A job that is not done, and how often it failed so far."""

    job: Job
    tries: int = 0
    losses: int = 0


class ServerState:
    """What is known of one server."""

    def __init__(self) -> None:
        self.own: deque[Task] = deque()  # sent to it before, so it may have their images
        self.running: dict[str, Task] = {}  # by key
        self.is_down = False
        self.is_probed = False
        self.probes, self.probe_at = 0, 0.0  # since it is down


class Dispatcher:
    """Runs jobs on servers until each is done or has failed.

    A job that was sent to a server before goes to that server again, which may have its images; any
    other goes to the server that has the fewest. A server that does not answer is probed until it
    does; meanwhile idle servers take its jobs. A job's own fault never counts against a server.
    """

    def __init__(
        self,
        lanes: Lanes,
        jobs: Iterable[Job],
        ledger: Ledger,
        callbacks: Callbacks,
        patience: float,  # seconds to wait while no server answers
        clock: Callable[[], float] = time.monotonic,
    ):
        self._lanes, self._ledger, self._callbacks = lanes, ledger, callbacks
        self._patience, self._clock = patience, clock
        self._servers = {name: ServerState() for name in lanes.servers}
        self._free: deque[Task] = deque()
        self._delayed: list[tuple[float, int, str, Task]] = []  # a heap: when, number, server
        self._delays = 0
        self._answered_at = clock()
        self._last_error = ""
        for job in jobs:
            self._queue_of(ledger.server_of(job)).append(Task(job))

    def run(self) -> None:
        """Run all jobs; raises ComfyError if no server answers any more."""
        while self._count_queued() or any(s.running for s in self._servers.values()):
            self._return_delayed()
            self._submit_jobs()
            self._probe_servers()
            for report in self._lanes.wait(self._seconds_to_wait()):
                self._receive(report)
            self._check_patience()

    def _count_queued(self) -> int:
        own = sum(len(server.own) for server in self._servers.values())
        return len(self._free) + len(self._delayed) + own

    def _queue_of(self, server: str | None) -> deque[Task]:
        return self._servers[server].own if server in self._servers else self._free

    def _return_delayed(self) -> None:
        while self._delayed and self._delayed[0][0] <= self._clock():
            _, _, server, task = heapq.heappop(self._delayed)
            self._queue_of(server).appendleft(task)

    def _submit_jobs(self) -> None:
        answering = {name: s for name, s in self._servers.items() if not s.is_down}
        while ready := [name for name, s in answering.items() if len(s.running) < IN_FLIGHT]:
            name = min(ready, key=lambda name: len(answering[name].running))
            task = self._take_task(name)
            if task is None:
                del answering[name]
                continue
            sent_before = self._ledger.server_of(task.job) == name
            self._ledger.record_sent(task.job, name)
            answering[name].running[task.job.key] = task
            self._lanes.submit(name, task.job, sent_before)

    def _take_task(self, name: str) -> Task | None:
        queues = [self._servers[name].own, self._free]
        queues += [server.own for server in self._servers.values() if server.is_down]
        return next((queue.popleft() for queue in queues if queue), None)

    def _probe_servers(self) -> None:
        for name, server in self._servers.items():
            if server.is_down and not server.is_probed and server.probe_at <= self._clock():
                server.is_probed = True
                self._lanes.probe(name)

    def _seconds_to_wait(self) -> float:
        down = [s for s in self._servers.values() if s.is_down and not s.is_probed]
        times = [*(server.probe_at for server in down), *(when for when, *_ in self._delayed[:1])]
        return min([MAX_WAIT, *(max(0.0, when - self._clock()) for when in times)])

    def _receive(self, report: Report) -> None:
        server, attempt = self._servers[report.server], report.attempt
        if report.job is None:
            server.is_probed = False
        if attempt.fault != "server":
            self._answered_at = self._clock()
        if report.job is not None:
            self._finish_attempt(server.running.pop(report.job.key), report)
        elif attempt.fault == "server":
            self._last_error = attempt.error
            server.probes += 1
            server.probe_at = self._clock() + delay_of(server.probes)
        else:
            server.is_down, server.probes = False, 0
            self._callbacks.on_notice(f"{report.server} answers again.")

    def _finish_attempt(self, task: Task, report: Report) -> None:
        attempt = report.attempt
        if attempt.images is not None:
            self._callbacks.on_done(task.job, attempt.images)
        elif attempt.fault == "job":
            self._callbacks.on_failure(task.job, attempt.error)
        else:
            if attempt.fault == "server":
                self._set_down(report.server, attempt.error)
            if attempt.started or attempt.fault == "request":
                task = task._replace(tries=task.tries + 1)
            else:  # it is not to blame: another job may have ended the server
                task = task._replace(losses=task.losses + 1)
            # After a failed run the server has no images; otherwise it may have them.
            self._try_again(task, "" if attempt.fault == "run" else report.server, attempt.error)

    def _try_again(self, task: Task, home: str, error: str) -> None:
        if task.tries >= MAX_TRIES or task.losses >= MAX_LOSSES:
            self._callbacks.on_failure(
                task.job, f"{error} (tried {task.tries + task.losses} times)"
            )
            return
        self._delays += 1
        when = self._clock() + delay_of(task.tries + task.losses)
        heapq.heappush(self._delayed, (when, self._delays, home, task))

    def _set_down(self, name: str, error: str) -> None:
        server = self._servers[name]
        self._last_error = error
        if not server.is_down:
            server.is_down, server.probe_at = True, self._clock()
            self._callbacks.on_notice(f"{name} does not answer, trying again: {error}")

    def _check_patience(self) -> None:
        servers = self._servers.values()
        if any(not s.is_down or s.running or s.is_probed for s in servers):
            return
        remaining = self._count_queued()
        if remaining and self._clock() - self._answered_at > self._patience:
            raise ComfyError(
                f"No server answers any more; {remaining} photos are not made. "
                f"Start a server and run the same command again. {self._last_error}"
            )


def delay_of(number: int) -> float:
    """Return the seconds to wait after this number of failures."""
    return min(FIRST_DELAY * 2 ** (number - 1), LONGEST_DELAY)
