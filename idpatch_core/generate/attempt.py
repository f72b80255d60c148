"""One attempt at a job on one server, and whose fault it was if it failed."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from ..comfyui.errors import (
    ComfyError,
    NodeError,
    PromptLost,
    RequestRefused,
    Unreachable,
)
from ..comfyui.events import Event
from ..comfyui.server import ServerError
from .jobs import Job
from .worker import JobImages, Worker

# HTTP statuses: another attempt may succeed; a proxy answers in place of a server that does not.
TRANSIENT, GATEWAY = (408, 425, 429, 500), (502, 503, 504)

Fault = Literal["job", "request", "run", "server"]


class Attempt(NamedTuple):
    """The images that a server made of a job, or the error and whose fault it was.

    `job`: another attempt would fail too. `request`, `run`: a request or the run failed, another
    attempt may succeed. `server`: it does not answer. `started` tells whether the job had begun.
    """

    images: JobImages | None
    error: str = ""
    fault: Fault | None = None
    started: bool = False


def attempt_job(
    worker: Worker, job: Job, sent_before: bool, on_event: Callable[[Job, Event], None]
) -> Attempt:
    """Make a job's images; errors are returned, not raised."""
    started = False

    def note(event: Event) -> None:
        nonlocal started
        started = True
        on_event(job, event)

    try:
        return Attempt(worker.run_job(job, sent_before, note))
    except Exception as error:  # a thread must not die silently
        text = str(error) if isinstance(error, ComfyError | ValueError | OSError) else repr(error)
        return Attempt(None, text, find_fault(error), started)


def find_fault(error: Exception) -> Fault:
    match error:
        case Unreachable() | ServerError():
            return "server"
        case RequestRefused(status=status) if status in GATEWAY:
            return "server"
        case RequestRefused(status=status) if status in TRANSIENT:
            return "request"
        case NodeError(is_out_of_memory=True) | PromptLost():
            return "run"
        case _:  # Interrupted, too: a user cancelled it
            return "job"


def probe_server(worker: Worker) -> Attempt:
    """Return an attempt without a fault if the worker's server answers."""
    try:
        worker.probe()
    except Exception as error:
        return Attempt(None, str(error), "server")
    return Attempt(None)
