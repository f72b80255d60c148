"""Runs jobs on a Ray cluster: an actor for each server, or actors that start a ComfyUI each."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..comfyui.graph import Graph
from ..ray_cluster import join_cluster
from .attempt import Attempt, attempt_job, probe_server
from .dispatch import IN_FLIGHT, Report
from .jobs import Job
from .worker import Worker


class RayWorker:
    """The actor: a worker in a process of Ray."""

    def __init__(self, template: Graph, base: str, url: str, comfyui: str):
        self._worker = Worker(template, Path(base), url, comfyui)

    def run_job(self, job: Job, sent_before: bool) -> Attempt:
        return attempt_job(self._worker, job, sent_before, lambda *_: None)

    def probe(self) -> Attempt:
        return probe_server(self._worker)


class RayLanes:
    """The actors by name; Ray chooses their machines and GPUs and restarts one that died."""

    def __init__(self, actors: dict[str, Any]):
        self.servers = list(actors)
        self._actors = actors
        self._running: dict[Any, tuple[str, Job | None]] = {}

    def submit(self, server: str, job: Job, sent_before: bool) -> None:
        self._running[self._actors[server].run_job.remote(job, sent_before)] = (server, job)

    def probe(self, server: str) -> None:
        self._running[self._actors[server].probe.remote()] = (server, None)

    def wait(self, seconds: float) -> list[Report]:
        import ray
        from ray.exceptions import RayError

        if not self._running:
            time.sleep(seconds)
            return []
        ready, _ = ray.wait(list(self._running), timeout=seconds)
        reports = []
        for reference in ready:
            server, job = self._running.pop(reference)
            try:
                attempt = ray.get(reference)
            except RayError as error:  # the actor died
                attempt = Attempt(None, str(error), "server")
            reports.append(Report(server, job, attempt))
        return reports


@contextlib.contextmanager
def open_ray_lanes(
    servers: Sequence[str], workers: int, gpus: float, comfyui: str, template: Graph, base: Path
) -> Iterator[RayLanes]:
    """Start an actor for each server or, with the folder of a ComfyUI, `workers` of them.

    Uses the cluster of RAY_ADDRESS or one on this machine, or else starts a local one.
    """
    with join_cluster() as ray:
        limits: Any = {"max_restarts": -1, "max_task_retries": 0, "max_concurrency": IN_FLIGHT}
        remote: Any = ray.remote(**limits)
        actor = remote(RayWorker)
        if comfyui:
            placed = actor.options(num_gpus=gpus)
            names = [f"worker {number}" for number in range(workers)]
            actors = {name: placed.remote(template, str(base), "", comfyui) for name in names}
        else:
            placed = actor.options(num_cpus=0)
            actors = {url: placed.remote(template, str(base), url, "") for url in servers}
        yield RayLanes(actors)
