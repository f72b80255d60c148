"""Dispatches jobs to workers: one thread for each server, or actors on a Ray cluster."""

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..comfyui.errors import ComfyError, Interrupted, NodeError
from ..comfyui.events import Event
from ..comfyui.graph import Graph
from .jobs import Job
from .ledger import Ledger
from .worker import JobImages, Worker

MAX_FAILURES = 3  # in a row of a server that does not answer, before the others take its jobs


class Outcome(NamedTuple):
    """The images that a server made of a job, or the message of its error."""

    job: Job
    images: JobImages | None
    error: str = ""


def dispatch_to_threads(
    servers: Sequence[str],
    jobs: Iterable[Job],
    ledger: Ledger,
    make_worker: Callable[[str], Worker],
    on_outcome: Callable[[Outcome], None],
    on_event: Callable[[Job, Event], None],
) -> None:
    """Run the jobs on the servers, one at a time on each; the calling thread keeps the ledger.

    A job that was sent to one of these servers before goes to that server again, which may have its
    images; any other goes to the next idle server. The jobs of a server that does not answer go to
    the others. Raises ComfyError if no server is left.
    """
    own: dict[str, list[Job]] = {server: [] for server in servers}
    free: list[Job] = []
    for job in jobs:
        own.get(ledger.server_of(job) or "", free).append(job)
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    tasks = {server: queue.SimpleQueue[Job | None]() for server in servers}
    sent_before = {job.key for some in own.values() for job in some}

    def serve(server: str) -> None:
        worker = make_worker(server)
        while (job := tasks[server].get()) is not None:
            results.put((server, try_job(worker, job, job.key in sent_before, on_event)))

    for server in servers:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
    failures = dict.fromkeys(servers, 0)
    idle, busy = list(servers), 0
    while True:
        for server in list(idle):
            job = own[server].pop(0) if own[server] else free.pop(0) if free else None
            if job is not None:
                idle.remove(server)
                ledger.record_sent(job, server)
                tasks[server].put(job)
                busy += 1
        if not busy:
            break
        server, outcome = results.get()
        busy -= 1
        if isinstance(outcome, Outcome):
            failures[server] = 0
            idle.append(server)
            on_outcome(outcome)
            continue
        job, error = outcome
        failures[server] += 1
        if failures[server] < MAX_FAILURES:
            own[server].insert(0, job)
            sent_before.add(job.key)
            idle.append(server)
        else:  # the others take its jobs
            free += [job, *own.pop(server)]
            own[server] = []
            print(f"\n{server} does not answer: {error}", file=sys.stderr)
    for task in tasks.values():
        task.put(None)
    if free or any(own.values()):
        remaining = len(free) + sum(map(len, own.values()))
        raise ComfyError(
            f"No server answers any more; {remaining} photos are not made. "
            "Start a server and run the same command again."
        )


def try_job(
    worker: Worker, job: Job, sent_before: bool, on_event: Callable[[Job, Event], None]
) -> Outcome | tuple[Job, str]:
    """Return the outcome, or the job and the error if its server does not answer."""
    try:
        return Outcome(job, worker.run_job(job, sent_before, lambda event: on_event(job, event)))
    except (NodeError, Interrupted) as error:
        return Outcome(job, None, str(error))
    except ComfyError as error:
        return job, str(error)
    except Exception as error:  # a thread must not die silently
        return Outcome(job, None, repr(error))


def dispatch_to_ray(
    servers: Sequence[str],
    workers: int,
    gpus: float,
    comfyui: str,
    jobs: Iterable[Job],
    ledger: Ledger,
    template: Graph,
    base: Path,
    on_outcome: Callable[[Outcome], None],
) -> None:
    """Run the jobs on Ray actors: one for each server, or `workers` that start a ComfyUI each.

    Ray chooses the machine and GPU of an actor and restarts one that died. The ledger stays in this
    process; images come back through Ray. Raises ComfyError if no actor is left.
    """
    try:
        import ray
        from ray.exceptions import RayActorError
    except ImportError:
        raise ValueError("--ray needs Ray: pip install ray") from None
    started = not ray.is_initialized()
    if started:
        # RAY_ADDRESS or a cluster on this machine is used; otherwise a local one is started.
        local: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}
        ray.init(log_to_driver=False, **local)
    try:
        remote: Any = ray.remote(max_restarts=2, max_task_retries=0)(RayWorker)
        if comfyui:
            names = [f"worker {number}" for number in range(workers)]
            actors = {
                name: remote.options(num_gpus=gpus).remote(template, str(base), "", comfyui)
                for name in names
            }
        else:
            actors = {
                url: remote.options(num_cpus=0).remote(template, str(base), url, "")
                for url in servers
            }
        waiting = list(jobs)
        running: dict[Any, tuple[str, Job]] = {}
        failures = dict.fromkeys(actors, 0)
        idle = list(actors)
        while True:
            while idle and (chosen := choose_job(waiting, idle, ledger)) is not None:
                name, job = chosen
                idle.remove(name)
                before = ledger.server_of(job) == name
                ledger.record_sent(job, name)
                running[actors[name].run_job.remote(job, before)] = (name, job)
            if not running:
                break
            (ready,), _ = ray.wait(list(running))
            name, job = running.pop(ready)
            try:
                outcome = ray.get(ready)
            except RayActorError as error:
                outcome = (job, str(error))
            if isinstance(outcome, Outcome):
                failures[name] = 0
                idle.append(name)
                on_outcome(outcome)
                continue
            failures[name] += 1
            waiting.insert(0, job)
            if failures[name] < MAX_FAILURES:
                idle.append(name)
            else:
                print(f"\n{name} does not answer: {outcome[1]}", file=sys.stderr)
        if waiting:
            raise ComfyError(
                f"No worker is left; {len(waiting)} photos are not made. "
                "Run the same command again."
            )
    finally:
        if started:
            ray.shutdown()


def choose_job(waiting: list[Job], idle: list[str], ledger: Ledger) -> tuple[str, Job] | None:
    """Take a job and an idle worker for it: one that it was sent to before, or else the first."""
    for job in waiting:
        if (server := ledger.server_of(job)) in idle:
            waiting.remove(job)
            return str(server), job
    return (idle[0], waiting.pop(0)) if waiting else None


class RayWorker:
    """The actor: a worker in a process of Ray."""

    def __init__(self, template: Graph, base: str, url: str, comfyui: str):
        self._worker = Worker(template, Path(base), url, comfyui)

    def run_job(self, job: Job, sent_before: bool) -> Outcome | tuple[Job, str]:
        return try_job(self._worker, job, sent_before, lambda *_: None)
