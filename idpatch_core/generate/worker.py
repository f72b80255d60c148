"""Makes one group photo at a time on one ComfyUI, or fetches those that it made before."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..comfyui.client import ComfyClient, PromptResult
from ..comfyui.errors import ComfyError
from ..comfyui.events import Event
from ..comfyui.graph import Graph
from ..comfyui.group_photo import PersonPhotos, fill_template, has_pose
from ..comfyui.server import comfyui_server
from .jobs import Job, draw_pose

POLL_INTERVAL = 0.2  # seconds between two requests about a prompt that was sent before


class JobImages(NamedTuple):
    """The images of a job as PNG files, and how long the server worked on it."""

    pngs: list[bytes]
    seconds: float | None


class Worker:
    """Makes photos on one ComfyUI.

    `url` is that of a running server. Without it the worker starts the ComfyUI in the folder
    `comfyui`, with the user's models and packs, and stops it when it ends. The interpreter of that
    server is COMFYUI_PYTHON, its further arguments are COMFYUI_ARGUMENTS (environment variables).
    """

    def __init__(self, template: Graph, base: Path, url: str = "", comfyui: str = ""):
        self._template, self._base = template, base
        self._ending = contextlib.ExitStack()
        self.url = url or self._start_server(Path(comfyui))

    def _start_server(self, comfyui: Path) -> str:
        python = os.environ.get("COMFYUI_PYTHON", sys.executable)
        arguments = os.environ.get("COMFYUI_ARGUMENTS", "").split()
        base = comfyui.resolve()
        server = comfyui_server(python, base, cpu=False, arguments=arguments, base=base)
        return self._ending.enter_context(server).url

    def close(self) -> None:
        self._ending.close()

    def run_job(
        self, job: Job, sent_before: bool, on_event: Callable[[Event], object] = lambda _: None
    ) -> JobImages:
        """Make a job's images, or fetch them if the server has them or is making them."""
        with ComfyClient(self.url) as client:
            graph = self.build_graph(client, job)
            result = self._find_result(client, job, graph) if sent_before else None
            if result is None:
                client.queue(graph, prompt_id=job.prompt_id)
                for event in client.events(job.prompt_id, graph):
                    on_event(event)
                result = client.result(job.prompt_id, graph)
            pngs = [client.fetch(file) for file in result.images()]
            if not pngs:
                raise ComfyError("The workflow saved no image: it needs a Save Image node.")
            return JobImages(pngs, read_seconds(client, job.prompt_id))

    def build_graph(self, client: ComfyClient, job: Job) -> Graph:
        """Upload a job's photos and return its workflow."""
        case = job.case
        people = [
            PersonPhotos(
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
        return fill_template(
            self._template,
            people,
            points if placed else None,
            case.prompt,
            job.row.get("negative"),
            job.row.get("seed"),
            case.size,
            self._upload_pose(client, job),
            f"idpatch/{job.key[:12]}",
        )

    def _upload_pose(self, client: ComfyClient, job: Job) -> str | None:
        from PIL import Image

        if not has_pose(self._template):
            return None
        image = draw_pose(job.case, job.row, self._base)
        if image is None:
            return None
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        return client.upload_image(png.getvalue(), f"idpatch_{job.key[:12]}_pose.png")

    def _find_result(self, client: ComfyClient, job: Job, graph: Graph) -> PromptResult | None:
        """Wait for a prompt that was sent before and return its result; None if it has none."""
        while True:
            if client.history(job.prompt_id) is not None:
                try:
                    return client.result(job.prompt_id, graph)
                except ComfyError:  # it failed or was cancelled: run it again
                    client.forget(job.prompt_id)
                    return None
            if not client.is_queued(job.prompt_id):
                # It may have ended between the two requests.
                if client.history(job.prompt_id) is None:
                    return None
                continue
            time.sleep(POLL_INTERVAL)


def read_seconds(client: ComfyClient, prompt_id: str) -> float | None:
    """Return how long a finished prompt ran, by the server's clock; None if it is not recorded."""
    record = client.history(prompt_id) or {}
    times = {
        kind: data.get("timestamp") for kind, data in record.get("status", {}).get("messages", [])
    }
    start, end = times.get("execution_start"), times.get("execution_success")
    return (end - start) / 1000 if start and end else None
