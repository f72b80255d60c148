"""Makes group photos on one ComfyUI, or fetches those that it made before."""

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..comfyui.client import ComfyClient
from ..comfyui.errors import (
    ComfyError,
    Interrupted,
    NodeError,
    PromptLost,
    RequestRefused,
    Unreachable,
)
from ..comfyui.events import Event
from ..comfyui.graph import Graph
from ..comfyui.group_photo import IMAGE_LOADER, PEOPLE, PersonPhotos, fill_template, has_pose
from ..comfyui.server import ServerError, comfyui_server
from ..comfyui.uploads import hash_content
from .jobs import Job, draw_pose

POLL_INTERVAL = 0.2  # seconds between two requests about a prompt that was sent before
PROBE_TIMEOUT = 10.0  # seconds


class JobImages(NamedTuple):
    """The images of a job as PNG files, and how long the server worked on it."""

    pngs: list[bytes]
    seconds: float | None


class Worker:
    """Makes photos on one ComfyUI; several threads may share it.

    `url` is that of a running server. Without it the worker starts the ComfyUI in the folder
    `comfyui`, with the user's models and packs, and stops it when it ends. The interpreter of that
    server is COMFYUI_PYTHON, its further arguments are COMFYUI_ARGUMENTS (environment variables).
    """

    def __init__(self, template: Graph, base: Path, url: str = "", comfyui: str = ""):
        self._template, self._base = template, base
        self._url, self._comfyui = url, comfyui
        self._own_server = contextlib.ExitStack()
        self._uploads: dict[str, str] = {}  # the server's names, by the hash of the content
        self._uploading = threading.Lock()
        if not url:
            with contextlib.suppress(ServerError):  # the first job tells
                self._start_server()

    def close(self) -> None:
        self._own_server.close()

    def probe(self) -> None:
        """Raise an error if the server does not answer; start it again if it is this worker's."""
        try:
            if not self._url:
                raise Unreachable("The worker's ComfyUI did not start.")
            with ComfyClient(self._url, PROBE_TIMEOUT) as client:
                client.system_stats()
        except ComfyError:
            if not self._comfyui:
                raise
            self._start_server()

    def _start_server(self) -> None:
        self._own_server.close()
        self._url = ""
        python = os.environ.get("COMFYUI_PYTHON", sys.executable)
        arguments = os.environ.get("COMFYUI_ARGUMENTS", "").split()
        base = Path(self._comfyui).resolve()
        server = comfyui_server(python, base, cpu=False, arguments=arguments, base=base)
        self._url = self._own_server.enter_context(server).url

    def run_job(
        self, job: Job, sent_before: bool, on_event: Callable[[Event], object] = lambda _: None
    ) -> JobImages:
        """Make a job's images, or fetch them if the server has them or is making them."""
        if not self._url:
            raise Unreachable("The worker's ComfyUI did not start.")
        try:
            with ComfyClient(self._url, uploads=self._uploads) as client:
                return self._run_job(client, job, sent_before, on_event)
        except (Unreachable, PromptLost):
            self._uploads.clear()  # a server that was restarted may have another input folder
            raise

    def _run_job(
        self, client: ComfyClient, job: Job, sent_before: bool, on_event: Callable[[Event], object]
    ) -> JobImages:
        graph = self.build_graph(client, job)
        images = self._find_images(client, job, graph) if sent_before else None
        if images is None:
            try:
                client.queue(graph, prompt_id=job.prompt_id)
            except NodeError as error:
                if graph[error.node_id]["class_type"] not in (IMAGE_LOADER, PEOPLE):
                    raise
                self._uploads.clear()  # the server lost a file
                graph = self.build_graph(client, job)
                client.queue(graph, prompt_id=job.prompt_id)
            for event in client.events(job.prompt_id, graph):
                on_event(event)
            images = fetch_images(client, job, graph)
        return images

    def _find_images(self, client: ComfyClient, job: Job, graph: Graph) -> JobImages | None:
        """Wait for a prompt that was sent before and return its images; None if it has none."""
        while (state := client.state(job.prompt_id)) == "queued":
            time.sleep(POLL_INTERVAL)
        if state == "unknown":
            return None
        try:
            return fetch_images(client, job, graph)
        except (NodeError, Interrupted, PromptLost):
            pass  # it failed, was cancelled or is forgotten: run it again
        except RequestRefused as error:
            if error.status != 404:
                raise  # otherwise its files were removed
        client.forget(job.prompt_id)
        return None

    def build_graph(self, client: ComfyClient, job: Job) -> Graph:
        """Upload what the server does not have of a job's photos, and return its workflow."""
        case = job.case
        with self._uploading:  # two jobs may have the same photos
            people = [
                PersonPhotos(
                    person.name,
                    [
                        self._upload(client, path, digest)
                        for path, digest in zip(person.references, digests, strict=True)
                    ],
                )
                for person, digests in zip(case.people, job.digests, strict=True)
            ]
            pose = self._upload_pose(client, job)
        points = [person.point for person in case.people]
        placed = any(point is not None for point in points)
        return fill_template(
            self._template,
            people,
            points if placed else None,
            case.prompt,
            job.row.get("negative"),
            job.row["seed"],
            case.size,
            pose,
            f"idpatch/{job.key[:12]}",
        )

    def _upload(self, client: ComfyClient, path: Path, digest: str) -> str:
        """Upload a photo under a name that depends on its content alone, so it is encoded once."""
        if digest in self._uploads:
            return self._uploads[digest]
        content = path.read_bytes()
        if hash_content(content) != digest:
            raise ValueError(f"{path} changed during this run. Run the same command again.")
        return client.upload_image(content, f"idpatch{path.suffix}")

    def _upload_pose(self, client: ComfyClient, job: Job) -> str | None:
        from PIL import Image

        if not has_pose(self._template):
            return None
        image = draw_pose(job.case, job.row, self._base)
        if image is None:
            return None
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        return client.upload_image(png.getvalue(), "idpatch-pose.png")


def fetch_images(client: ComfyClient, job: Job, graph: Graph) -> JobImages:
    """Return what a job's prompt made; raises NodeError or Interrupted if it failed."""
    pngs = [client.fetch(file) for file in client.result(job.prompt_id, graph).images()]
    if not pngs:
        raise ComfyError("The workflow saved no image: it needs a Save Image node.")
    return JobImages(pngs, read_seconds(client, job.prompt_id))


def read_seconds(client: ComfyClient, prompt_id: str) -> float | None:
    """Return how long a finished prompt ran, by the server's clock; None if it is not recorded."""
    record = client.history(prompt_id) or {}
    times = {
        kind: data.get("timestamp") for kind, data in record.get("status", {}).get("messages", [])
    }
    start, end = times.get("execution_start"), times.get("execution_success")
    return (end - start) / 1000 if start and end else None
