"""A client of a ComfyUI server: uploads, prompts, progress, results, errors.

    with ComfyClient("http://127.0.0.1:8188") as client:
        photo = client.upload_image(Path("anna.jpg"))
        graph["10"]["inputs"]["image"] = photo
        result = client.run(graph, on_event=print)
        png = client.fetch(result.images()[0])

A prompt is a graph that was queued on the server.
"""

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from .errors import ComfyError, raise_failure, raise_refusal
from .events import Event, read_events
from .graph import Graph

RECEIVE_TIMEOUT = 15.0  # seconds without a message before /history is polled


class File(NamedTuple):
    """A file that a node saved or showed, as ComfyUI's /view names it."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class PromptResult(NamedTuple):
    """What the nodes of a finished prompt saved and showed."""

    prompt_id: str
    outputs: dict[str, dict[str, Any]]  # by node

    def images(self, type: str = "output") -> list[File]:
        """Return the images that nodes saved (`output`) or showed (`temp`)."""
        images = [image for output in self.outputs.values() for image in output.get("images", [])]
        return [
            File(image["filename"], image["subfolder"], image["type"])
            for image in images
            if image["type"] == type
        ]


class ComfyClient:
    """A connection to one server; use each client from one thread only."""

    def __init__(self, url: str, timeout: float = 60.0):
        self.url = url.rstrip("/")
        self.id = uuid.uuid4().hex
        self._timeout = timeout
        # A thread for the loop, because the caller's may run one already, as a notebook's does.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._session: aiohttp.ClientSession | None = None
        self._socket: Any = None

    def __enter__(self) -> "ComfyClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        if self._socket:
            self._await(self._socket.close())
        if self._session:
            self._await(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def system_stats(self) -> dict[str, Any]:
        return self._get("/system_stats")

    def object_info(self, node_class: str = "") -> dict[str, Any]:
        """Return the description of one node class, or of all, as ComfyUI's front end reads it."""
        return self._get(f"/object_info/{node_class}" if node_class else "/object_info")

    def upload_image(self, image: Path | bytes, name: str = "") -> str:
        """Upload an image to the server's input folder and return its name for Load Image."""
        if isinstance(image, Path):
            name, image = name or image.name, image.read_bytes()
        form = aiohttp.FormData()
        form.add_field("image", image, filename=name or f"{uuid.uuid4().hex}.png")
        form.add_field("overwrite", "true")
        file = self._json("POST", "/upload/image", data=form)
        return "/".join(part for part in (file["subfolder"], file["name"]) if part)

    def fetch(self, file: File) -> bytes:
        return self._await(self._request("GET", "/view", params=file._asdict()))

    def queue(
        self, graph: Graph, workflow: dict[str, Any] | None = None, prompt_id: str = ""
    ) -> str:
        """Queue a graph and return its prompt id; `workflow`, its UI form, is saved in the PNGs.

        With a `prompt_id`, a UUID of the caller's, the prompt can be found again after a crash.
        Raises NodeError if a node refuses its inputs.
        """
        self._connect()  # before queueing, or the first events would be lost
        body: dict[str, Any] = {"prompt": graph, "client_id": self.id}
        if prompt_id:
            body["prompt_id"] = prompt_id
        if workflow is not None:
            body["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        answer = self._json("POST", "/prompt", json=body, accept=(200, 400))
        # The server runs the valid part of a graph that is partly wrong. Here it is all or nothing.
        if "prompt_id" in answer and answer.get("node_errors"):
            self.cancel(answer["prompt_id"])
        raise_refusal(graph, answer)
        return answer["prompt_id"]

    def events(self, prompt_id: str, graph: Graph) -> Iterator[Event]:
        """Yield the events of a queued prompt until it has run.

        Raises NodeError if a node fails and Interrupted if the prompt is cancelled.
        """
        return read_events(graph, prompt_id, self._messages(prompt_id))

    def _messages(self, prompt_id: str) -> Iterator[dict[str, Any] | bytes]:
        while True:
            message = self._receive()
            if message is not None:
                yield message
            elif self.history(prompt_id):
                return

    def run(
        self,
        graph: Graph,
        workflow: dict[str, Any] | None = None,
        on_event: Callable[[Event], object] = lambda _: None,
    ) -> PromptResult:
        """Run a graph and return what its nodes saved and showed.

        If waiting for it ends early, by Ctrl-C for example, the prompt is cancelled.
        """
        prompt_id = self.queue(graph, workflow)
        try:
            for event in self.events(prompt_id, graph):
                on_event(event)
            return self.result(prompt_id, graph)
        except ComfyError:
            raise
        except BaseException:
            with contextlib.suppress(ComfyError):
                self.cancel(prompt_id)
            raise

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the server's record of a finished prompt, or None while it waits or runs."""
        return self._get(f"/history/{prompt_id}").get(prompt_id)

    def is_queued(self, prompt_id: str) -> bool:
        """Tell whether a prompt waits or runs."""
        queued = self._get("/queue")
        return any(entry[1] == prompt_id for entries in queued.values() for entry in entries)

    def forget(self, prompt_id: str) -> None:
        """Delete the server's record of a finished prompt."""
        self._await(self._request("POST", "/history", json={"delete": [prompt_id]}))

    def result(self, prompt_id: str, graph: Graph) -> PromptResult:
        """Return what a finished prompt made; raises NodeError or Interrupted if it failed."""
        record = self.history(prompt_id)
        if record is None:
            raise ComfyError(
                f"Prompt {prompt_id} is not finished, or the server no longer has its record."
            )
        for message_type, data in record["status"]["messages"]:
            raise_failure(graph, message_type, data)
        return PromptResult(prompt_id, record["outputs"])

    def cancel(self, prompt_id: str) -> None:
        """Remove a prompt from the queue, or interrupt it if it runs."""
        self._await(self._request("POST", "/queue", json={"delete": [prompt_id]}))
        self._await(self._request("POST", "/interrupt", json={"prompt_id": prompt_id}))

    def _wait_for(self, coroutine: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # if Ctrl-C ended the wait

    def _await(self, coroutine: Any) -> Any:
        try:
            return self._wait_for(coroutine)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise ComfyError(f"The server at {self.url} does not answer: {error!r}") from error

    def _get(self, path: str) -> Any:
        return self._json("GET", path)

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return json.loads(self._await(self._request(method, path, **options)))

    async def _request(
        self, method: str, path: str, accept: tuple[int, ...] = (200,), **options: Any
    ) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        url = self.url + path
        async with self._session.request(method, url, timeout=timeout, **options) as response:
            body = await response.read()
            if response.status not in accept:
                reason = body.decode(errors="replace")[:500] or response.reason
                raise ComfyError(f"{method} {url}: {response.status} {reason}")
            return body

    def _connect(self) -> None:
        if self._socket is None or self._socket.closed:
            self._socket = self._await(self._open_socket())

    async def _open_socket(self) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        # No heartbeat: a computing server may answer late. No size limit: previews can be large.
        return await self._session.ws_connect(f"{self.url}/ws?clientId={self.id}", max_msg_size=0)

    def _receive(self) -> dict[str, Any] | bytes | None:
        """Return the next message, or None if none came within RECEIVE_TIMEOUT."""
        self._connect()
        assert self._socket
        try:
            message = self._wait_for(self._socket.receive(RECEIVE_TIMEOUT))
        except asyncio.TimeoutError:
            return None
        if message.type == aiohttp.WSMsgType.TEXT:
            return json.loads(message.data)
        if message.type == aiohttp.WSMsgType.BINARY:
            return message.data
        raise ComfyError(f"The server at {self.url} closed the connection.")
