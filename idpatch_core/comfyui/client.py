"""A client of a ComfyUI server: uploads, prompts, progress, results, errors.

    with ComfyClient("http://127.0.0.1:8188") as client:
        photo = client.upload_image(Path("anna.jpg"))
        prompt["10"]["inputs"]["image"] = photo
        result = client.run(prompt, on_event=print)
        png = client.fetch(result.images()[0])

A prompt is a graph in API form: `{node id: {"class_type", "inputs", "_meta": {"title"}}}`.
"""

import asyncio
import contextlib
import json
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import aiohttp

Prompt = dict[str, dict[str, Any]]

PREVIEW = 1  # binary websocket message: type, image format, image
PREVIEW_HEADER = 8  # bytes
PATIENCE = 15.0  # seconds without a message after which the history is asked


class ComfyError(Exception):
    """The server refused, failed or went away; the message says what and why."""


class Interrupted(ComfyError):
    """The prompt was cancelled."""


class NodeError(ComfyError):
    """A node refused its inputs or failed while running."""

    def __init__(self, node_id: str, title: str, message: str, traceback: str = ""):
        super().__init__(f"{title} (node {node_id}): {message}")
        self.node_id = node_id
        self.title = title
        self.message = message
        self.traceback = traceback


class File(NamedTuple):
    """A file that a node saved or showed, as ComfyUI's /view names it."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class Event(NamedTuple):
    """Something that happened to a running prompt.

    `cached` and `executing`: the node `node` needs no run, or starts; `progress`: it did `value`
    of `total` steps; `preview`: `data` is a JPEG or PNG of it; `executed`: `data` is what it shows.
    """

    kind: Literal["cached", "executing", "progress", "preview", "executed"]
    node: str
    title: str
    value: int = 0
    total: int = 0
    data: Any = None


class Result(NamedTuple):
    prompt_id: str
    outputs: dict[str, dict[str, Any]]  # by node: what it showed or saved

    def images(self, type: str = "output") -> list[File]:
        """Return the pictures that nodes saved (`output`) or showed (`temp`)."""
        shown = [image for output in self.outputs.values() for image in output.get("images", [])]
        return [
            File(image["filename"], image["subfolder"], image["type"])
            for image in shown
            if image["type"] == type
        ]


class ComfyClient:
    """A connection to one server; not for several threads at once."""

    def __init__(self, url: str, timeout: float = 60.0):
        self.url = url.rstrip("/")
        self.id = uuid.uuid4().hex
        self._timeout = timeout
        # On a thread of its own: the caller's may have a running loop, as a notebook's does.
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
        """Upload a picture to the server's input folder and return its name for Load Image."""
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
        self, prompt: Prompt, workflow: dict[str, Any] | None = None, prompt_id: str = ""
    ) -> str:
        """Queue a prompt and return its id; `workflow`, the graph in UI form, goes into its PNGs.

        With a `prompt_id`, a UUID of the caller's, the prompt can be found again after a crash.
        Raises NodeError if a node refuses its inputs.
        """
        self._connect()  # before queueing, or the first events would be lost
        body: dict[str, Any] = {"prompt": prompt, "client_id": self.id}
        if prompt_id:
            body["prompt_id"] = prompt_id
        if workflow is not None:
            body["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        answer = self._json("POST", "/prompt", json=body, accept=(200, 400))
        # The server runs what it can of a graph that is wrong in one part; we want all or nothing.
        if "prompt_id" in answer and answer.get("node_errors"):
            self.cancel(answer["prompt_id"])
        _raise_refusal(prompt, answer)
        return answer["prompt_id"]

    def events(self, prompt_id: str, prompt: Prompt) -> Iterator[Event]:
        """Yield what happens to a queued prompt until it is done.

        Raises NodeError if a node fails and Interrupted if the prompt is cancelled.
        """
        node = ""
        while True:
            message = self._receive()
            if message is None:
                if self.history(prompt_id):
                    return
                continue
            if isinstance(message, bytes):
                if len(message) > PREVIEW_HEADER and struct.unpack(">I", message[:4])[0] == PREVIEW:
                    image = message[PREVIEW_HEADER:]
                    yield Event("preview", node, title_of(prompt, node), data=image)
                continue
            kind, data = message["type"], message["data"]
            if data.get("prompt_id") != prompt_id:
                continue
            if kind == "executing" and data["node"] is None:
                return  # and the history knows the outcome, which `execution_success` precedes
            if kind == "executing":
                node = data["node"]
                yield Event("executing", node, title_of(prompt, node))
            elif kind == "execution_cached":
                for cached in data["nodes"]:
                    yield Event("cached", cached, title_of(prompt, cached))
            elif kind == "progress":
                node = data["node"] or node
                steps = data["value"], data["max"]
                yield Event("progress", node, title_of(prompt, node), *steps)
            elif kind == "executed":
                shown = data["output"]
                yield Event("executed", data["node"], title_of(prompt, data["node"]), data=shown)
            elif kind == "execution_interrupted":
                raise Interrupted("The prompt was cancelled.")
            elif kind == "execution_error":
                raise _failure(prompt, data)

    def run(
        self,
        prompt: Prompt,
        workflow: dict[str, Any] | None = None,
        on_event: Callable[[Event], object] = lambda _: None,
    ) -> Result:
        """Run a prompt to its end and return what its nodes saved and showed.

        Whatever ends the waiting early, Ctrl-C included, cancels the prompt.
        """
        prompt_id = self.queue(prompt, workflow)
        try:
            for event in self.events(prompt_id, prompt):
                on_event(event)
            return self.result(prompt_id, prompt)
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

    def result(self, prompt_id: str, prompt: Prompt) -> Result:
        """Return what a finished prompt made; raises NodeError or Interrupted if it failed."""
        record = self.history(prompt_id)
        if record is None:
            raise ComfyError(f"Prompt {prompt_id} is not finished, or the server forgot it.")
        for kind, data in record["status"]["messages"]:
            if kind == "execution_interrupted":
                raise Interrupted("The prompt was cancelled.")
            if kind == "execution_error":
                raise _failure(prompt, data)
        return Result(prompt_id, record["outputs"])

    def cancel(self, prompt_id: str) -> None:
        """Take a prompt off the queue, or stop it if it runs."""
        self._await(self._request("POST", "/queue", json={"delete": [prompt_id]}))
        self._await(self._request("POST", "/interrupt", json={"prompt_id": prompt_id}))

    def _wait_for(self, coroutine: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # if Ctrl-C ended the waiting

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
        # The server may answer late while it computes, so no heartbeat; previews have no limit.
        return await self._session.ws_connect(f"{self.url}/ws?clientId={self.id}", max_msg_size=0)

    def _receive(self) -> dict[str, Any] | bytes | None:
        """Return the next message, or None if there was none for a while."""
        self._connect()
        assert self._socket
        try:
            message = self._wait_for(self._socket.receive(PATIENCE))
        except asyncio.TimeoutError:
            return None
        if message.type == aiohttp.WSMsgType.TEXT:
            return json.loads(message.data)
        if message.type == aiohttp.WSMsgType.BINARY:
            return message.data
        raise ComfyError(f"The server at {self.url} closed the connection.")


def title_of(prompt: Prompt, node_id: str) -> str:
    """Return a node's title as its author wrote it, or else its class."""
    node = prompt.get(node_id, {})
    return node.get("_meta", {}).get("title") or node.get("class_type", "")


def _raise_refusal(prompt: Prompt, answer: dict[str, Any]) -> None:
    for node_id, refused in (answer.get("node_errors") or {}).items():
        reasons = [f"{error['message']}: {error['details']}" for error in refused["errors"]]
        raise NodeError(node_id, title_of(prompt, node_id), "; ".join(reasons))
    if "error" in answer:
        error = answer["error"]
        if isinstance(error, dict):
            error = f"{error['message']} {error.get('details', '')}".strip()
        raise ComfyError(f"The server refused the prompt: {error}")


def _failure(prompt: Prompt, data: dict[str, Any]) -> NodeError:
    return NodeError(
        data["node_id"],
        title_of(prompt, data["node_id"]) or data["node_type"],
        data["exception_message"].strip(),
        "".join(data["traceback"]),
    )
