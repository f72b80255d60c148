"""python -m idpatch_core.generate: many group photos on one ComfyUI or several."""

import argparse
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import journal
from ..comfyui.client import ComfyError, Event, Interrupted, NodeError
from ..comfyui.graph import Graph
from .jobs import Job, Ledger, read_jobs, results
from .worker import Made, Worker

WORKFLOW = Path(__file__).parents[2] / "workflows" / "api" / "group_photo.json"
TRIES = 3  # of a server that does not answer, before the others go on without it


class Outcome(NamedTuple):
    """What became of a job at a server: pictures, or the message of an error."""

    job: Job
    made: Made | None
    error: str = ""


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.generate",
        description="Make many group photos on one ComfyUI or several. Interrupted runs go on "
        "where they were: nothing is made twice and nothing finished is lost.",
    )
    parser.add_argument("photos", type=Path, help="JSONL of group photos, one a line")
    parser.add_argument("--out", type=Path, default=Path("photos"), help="folder to write to")
    parser.add_argument(
        "--server",
        action="append",
        help="address of a running ComfyUI; give it several times for several (default: "
        "http://127.0.0.1:8188)",
    )
    parser.add_argument(
        "--workflow", type=Path, default=WORKFLOW, help="workflow in API form with your models"
    )
    parser.add_argument("--ray", action="store_true", help="run on the Ray cluster at hand")
    parser.add_argument(
        "--comfyui",
        help="with --ray: folder of a ComfyUI, on every machine, that each worker starts for "
        "itself in place of --server",
    )
    parser.add_argument("--workers", type=int, default=1, help="with --comfyui: how many")
    parser.add_argument(
        "--gpus", type=float, default=1.0, help="with --comfyui: GPUs for each worker"
    )
    return parser.parse_args(arguments)


def run_on_threads(
    servers: Sequence[str],
    jobs: Iterable[Job],
    ledger: Ledger,
    make_worker: Callable[[str], Worker],
    on_outcome: Callable[[Outcome], None],
    on_event: Callable[[Job, Event], None],
) -> None:
    """Let every server make one job after the other; the calling thread keeps the ledger.

    A job that was sent to one of these servers before goes to that one, where its pictures may
    lie; any other goes to whichever is free. A server that does not answer gives its jobs back.
    """
    own: dict[str, list[Job]] = {server: [] for server in servers}
    free: list[Job] = []
    for job in jobs:
        own.get(ledger.server_of(job) or "", free).append(job)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    tasks = {server: queue.SimpleQueue[Job | None]() for server in servers}
    sent_before = {job.key for some in own.values() for job in some}

    def serve(server: str) -> None:
        worker = make_worker(server)
        while (job := tasks[server].get()) is not None:
            answers.put((server, _try(worker, job, job.key in sent_before, on_event)))

    for server in servers:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
    failures = dict.fromkeys(servers, 0)
    idle, busy = list(servers), 0
    while True:
        for server in list(idle):
            job = own[server].pop(0) if own[server] else free.pop(0) if free else None
            if job is not None:
                idle.remove(server)
                ledger.send(job, server)
                tasks[server].put(job)
                busy += 1
        if not busy:
            break
        server, outcome = answers.get()
        busy -= 1
        if isinstance(outcome, Outcome):
            failures[server] = 0
            idle.append(server)
            on_outcome(outcome)
            continue
        job, error = outcome
        failures[server] += 1
        if failures[server] < TRIES:
            own[server].insert(0, job)
            sent_before.add(job.key)
            idle.append(server)
        else:  # the others take over what it leaves
            free += [job, *own.pop(server)]
            own[server] = []
            print(f"\n{server} does not answer: {error}", file=sys.stderr)
    for task in tasks.values():
        task.put(None)
    if free or any(own.values()):
        left = len(free) + sum(map(len, own.values()))
        raise ComfyError(f"No server answers any more; {left} photos are left. Run this again.")


def _try(
    worker: Worker, job: Job, sent_before: bool, on_event: Callable[[Job, Event], None]
) -> Outcome | tuple[Job, str]:
    """Return the outcome, or the job and why its server could not be spoken to."""
    try:
        return Outcome(job, worker.make(job, sent_before, lambda event: on_event(job, event)))
    except (NodeError, Interrupted) as error:
        return Outcome(job, None, str(error))
    except ComfyError as error:
        return job, str(error)
    except Exception as error:  # a thread must not die silently
        return Outcome(job, None, repr(error))


def run_on_ray(
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
    """Let Ray place one worker for each server, or workers with a ComfyUI of their own.

    Ray decides on which machine and GPU a worker lives and restarts one that died. The ledger stays
    in this process; pictures come back through Ray.
    """
    try:
        import ray
        from ray.exceptions import RayActorError
    except ImportError:
        raise ValueError("--ray needs Ray: pip install ray") from None
    started = not ray.is_initialized()
    if started:
        # RAY_ADDRESS, or a cluster on this machine, decides where; otherwise one starts here.
        own: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}
        ray.init(log_to_driver=False, **own)
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
            while idle and (job := _next(waiting, idle, ledger)) is not None:
                name, job = job
                idle.remove(name)
                before = ledger.server_of(job) == name
                ledger.send(job, name)
                running[actors[name].make.remote(job, before)] = (name, job)
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
            if failures[name] < TRIES:
                idle.append(name)
            else:
                print(f"\n{name} does not answer: {outcome[1]}", file=sys.stderr)
        if waiting:
            raise ComfyError(f"No worker is left for {len(waiting)} photos. Run this again.")
    finally:
        if started:
            ray.shutdown()


def _next(waiting: list[Job], idle: list[str], ledger: Ledger) -> tuple[str, Job] | None:
    """Take a job for an idle worker: one that it was sent before, or else the first."""
    for job in waiting:
        if (server := ledger.server_of(job)) in idle:
            waiting.remove(job)
            return str(server), job
    return (idle[0], waiting.pop(0)) if waiting else None


class RayWorker:
    """A worker that lives in a process of Ray's."""

    def __init__(self, template: Graph, base: str, url: str, comfyui: str):
        self._worker = Worker(template, Path(base), url, comfyui)

    def make(self, job: Job, sent_before: bool) -> Outcome | tuple[Job, str]:
        return _try(self._worker, job, sent_before, lambda *_: None)


def run(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    template = _read_workflow(options.workflow)
    if not options.photos.is_file():
        raise ValueError(f"{options.photos}: there is no such file.")
    jobs, problems = read_jobs(options.photos, template)
    base = options.photos.parent
    options.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(options.out)
    todo = [job for job in jobs if ledger.done(job) is None]
    failed: list[str] = []
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(todo), desc="Photos", unit="photo")

    def on_outcome(outcome: Outcome) -> None:
        if outcome.made is None:
            failed.append(f"{outcome.job.case.id}: {outcome.error}")
            bar.write(f"failed: {failed[-1]}", file=sys.stderr)
        else:
            ledger.finish(outcome.job, outcome.made.pictures, outcome.made.seconds)
        bar.update()

    def on_event(job: Job, event: Event) -> None:
        if event.kind == "progress":
            bar.set_postfix_str(f"{job.case.id} {event.title} {event.value}/{event.total}")

    try:
        if options.ray:
            run_on_ray(
                options.server,
                options.workers,
                options.gpus,
                options.comfyui or "",
                todo,
                ledger,
                template,
                base,
                on_outcome,
            )
        else:
            run_on_threads(
                options.server,
                todo,
                ledger,
                lambda url: Worker(template, base, url),
                on_outcome,
                on_event,
            )
    finally:
        bar.close()
        journal.write_whole(
            options.out / "results.jsonl", results(jobs, ledger, options.out, base).encode()
        )
        ledger.close()
    for problem in (*problems, *failed):
        print(f"not made: {problem}", file=sys.stderr)
    made = sum(1 for job in jobs if ledger.done(job))
    print(f"{made} of {len(jobs) + len(problems)} photos: {options.out / 'results.jsonl'}")
    return 1 if problems or failed else 0


def _read_workflow(path: Path) -> Graph:
    try:
        graph = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"--workflow: {path} cannot be read ({error}).") from None
    if not isinstance(graph, dict) or not all(
        isinstance(node, dict) and "class_type" in node and "inputs" in node
        for node in graph.values()
    ):
        raise ValueError(
            f"--workflow: {path} is not in API form. In ComfyUI choose Workflow > Export (API)."
        )
    return graph


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    options.server = options.server or ["http://127.0.0.1:8188"]
    try:
        return run(options)
    except (ValueError, ComfyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
