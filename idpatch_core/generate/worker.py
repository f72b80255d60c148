"""Makes one group photo at a time on one ComfyUI, and finds again what it made before."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..comfyui.client import ComfyClient, ComfyError, Event, Result
from ..comfyui.graph import Graph, fill, shows_poses
from .jobs import Job, pose_picture

WAIT = 0.2  # seconds between two questions about a prompt that was sent before


class Made(NamedTuple):
    """The pictures of a job as PNG files, and how long the server worked on it."""

    pictures: list[bytes]
    seconds: float | None


class Worker:
    """One ComfyUI that makes photos.

    With a `url` it is a running server; with the folder of a ComfyUI it is one that the worker
    starts for itself, on the GPU that it was given, and ends with itself.
    """

    def __init__(self, template: Graph, base: Path, url: str = "", comfyui: str = ""):
        self._template, self._base = template, base
        self._ending = contextlib.ExitStack()
        self.url = url or self._ending.enter_context(own_server(Path(comfyui)))

    def close(self) -> None:
        self._ending.close()

    def make(
        self, job: Job, sent_before: bool, on_event: Callable[[Event], object] = lambda _: None
    ) -> Made:
        """Make a job's pictures, or fetch them if the server has them or is making them."""
        with ComfyClient(self.url) as client:
            graph = self.graph(client, job)
            result = self._find(client, job, graph) if sent_before else None
            if result is None:
                client.queue(graph, prompt_id=job.prompt_id)
                for event in client.events(job.prompt_id, graph):
                    on_event(event)
                result = client.result(job.prompt_id, graph)
            pictures = [client.fetch(file) for file in result.images()]
            if not pictures:
                raise ComfyError("The workflow saved no picture: it needs a Save Image node.")
            return Made(pictures, seconds(client, job.prompt_id))

    def graph(self, client: ComfyClient, job: Job) -> Graph:
        """Upload a job's photographs and return its workflow."""
        case = job.case
        people = [
            (
                person.name,
                [
                    client.upload_image(
                        path.read_bytes(), f"idpatch_{job.key[:12]}_{i}_{j}{path.suffix}"
                    )
                    for j, path in enumerate(person.references)
                ],
            )
            for i, person in enumerate(case.people)
        ]
        points = [person.point for person in case.people]
        placed = any(point is not None for point in points)
        return fill(
            self._template,
            people,
            points if placed else None,
            case.prompt,
            job.row.get("negative"),
            job.row.get("seed"),
            case.size,
            self._pose(client, job),
            f"idpatch/{job.key[:12]}",
        )

    def _pose(self, client: ComfyClient, job: Job) -> str | None:
        from PIL import Image

        if not shows_poses(self._template):
            return None
        picture = pose_picture(job.case, job.row, self._base)
        if picture is None:
            return None
        png = io.BytesIO()
        Image.fromarray(picture).save(png, "PNG")
        return client.upload_image(png.getvalue(), f"idpatch_{job.key[:12]}_pose.png")

    def _find(self, client: ComfyClient, job: Job, graph: Graph) -> Result | None:
        """Return what a prompt sent before made, waiting for it; None if the server lost it."""
        while True:
            if client.history(job.prompt_id) is not None:
                try:
                    return client.result(job.prompt_id, graph)
                except ComfyError:  # it failed or was cancelled then: a new try
                    client.forget(job.prompt_id)
                    return None
            if not client.is_queued(job.prompt_id):
                # It may have ended between the two questions.
                if client.history(job.prompt_id) is None:
                    return None
                continue
            time.sleep(WAIT)


def seconds(client: ComfyClient, prompt_id: str) -> float | None:
    """Return how long a finished prompt ran, by the server's clock; None if it does not say."""
    record = client.history(prompt_id) or {}
    times = {
        kind: data.get("timestamp") for kind, data in record.get("status", {}).get("messages", [])
    }
    start, end = times.get("execution_start"), times.get("execution_success")
    return (end - start) / 1000 if start and end else None


@contextlib.contextmanager
def own_server(comfyui: Path) -> Iterator[str]:
    """Run the user's ComfyUI, with their models and packs, on a loopback port of its own."""
    from ..comfyui.server import free_port, stop, wait_until_up

    port = free_port()
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    command = [python, "-s", "main.py", "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--disable-auto-launch", "--database-url", "sqlite:///:memory:"]
    command += os.environ.get("COMFYUI_ARGUMENTS", "").split()
    with tempfile.TemporaryDirectory(prefix="idpatch-generate-") as folder:
        log = Path(folder, "comfyui.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=comfyui,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_up(url, process, log)
            yield url
        finally:
            stop(process)
