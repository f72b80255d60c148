"""A client of a ComfyUI server: uploads, prompts, progress, results, errors.

    with ComfyClient("http://127.0.0.1:8188") as client:
        photo = client.upload_image(Path("anna.jpg"))
        graph["10"]["inputs"]["image"] = photo
        result = client.run(graph, on_event=print)
        png = client.fetch(result.images()[0])

A prompt is a graph that was queued on the server.
"""

import contextlib
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import aiohttp

from .connection import Connection
from .errors import ComfyError, Interrupted, PromptLost, Unreachable, raise_failure, raise_refusal
from .events import Event, Message, prompt_of, read_events
from .graph import Graph
from .uploads import hash_content, upload_name

PATIENCE = 15.0  # seconds without a message of a prompt before the server is asked about it
RECONNECT_SECONDS = 1.0  # before a websocket that was closed is opened again
UPLOAD_RATE = 100_000  # bytes per second at which an upload may be as slow


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
    """A connection to one server; use each client from one thread only.

    `uploads` are the names of uploaded files by the hash of their content; clients of one server
    may share them, so that each file is uploaded once.
    """

    def __init__(self, url: str, timeout: float = 60.0, uploads: dict[str, str] | None = None):
        self.id = uuid.uuid4().hex
        self.url = url.rstrip("/")
        self._connection = Connection(self.url, self.id, timeout)
        self._uploads = {} if uploads is None else uploads
        # Messages of queued prompts that nothing waits for yet, without their progress.
        self._inboxes: dict[str, deque[Message]] = {}
        self._running = ""  # the prompt of the last message, and so of a preview

    def __enter__(self) -> "ComfyClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def system_stats(self) -> dict[str, Any]:
        return self._get("/system_stats")

    def object_info(self, node_class: str = "") -> dict[str, Any]:
        """Return the description of one node class, or of all, as ComfyUI's front end reads it."""
        return self._get(f"/object_info/{node_class}" if node_class else "/object_info")

    def upload_image(self, image: Path | bytes, name: str = "") -> str:
        """Upload an image to the server's input folder and return its name for Load Image.

        The name there ends with a hash of the content: two images never share one. An image that
        this client uploaded before is not sent again.
        """
        if isinstance(image, Path):
            name, image = name or image.name, image.read_bytes()
        digest = hash_content(image)
        if digest not in self._uploads:
            form = aiohttp.FormData(quote_fields=False)  # or names would arrive percent-encoded
            form.add_field("image", image, filename=upload_name(name or "image.png", digest))
            more = len(image) / UPLOAD_RATE
            file = self._json("POST", "/upload/image", data=form, more_seconds=more)
            self._uploads[digest] = "/".join(filter(None, (file["subfolder"], file["name"])))
        return self._uploads[digest]

    def fetch(self, file: File) -> bytes:
        return self._connection.request("GET", "/view", params=file._asdict())

    def queue(
        self, graph: Graph, workflow: dict[str, Any] | None = None, prompt_id: str = ""
    ) -> str:
        """Queue a graph and return its prompt id; `workflow`, its UI form, is saved in the PNGs.

        With a `prompt_id`, a UUID of the caller's, the prompt can be found again after a crash.
        Raises NodeError if a node refuses its inputs.
        """
        self._connection.open_socket()  # before queueing, or the first events would be lost
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
        self._inboxes[answer["prompt_id"]] = deque()
        return answer["prompt_id"]

    def events(self, prompt_id: str, graph: Graph) -> Iterator[Event]:
        """Yield the events of a queued prompt until it has run.

        Raises NodeError if a node fails, Interrupted if the prompt is cancelled or deleted, and
        PromptLost if the server was restarted meanwhile.
        """
        return read_events(graph, prompt_id, self._messages(prompt_id))

    def _messages(self, prompt_id: str) -> Iterator[Message]:
        yield from self._inboxes.pop(prompt_id, ())
        lost = Interrupted("The prompt was deleted from the queue.")
        ask_at = time.monotonic() + PATIENCE
        while True:
            try:
                message = self._connection.receive(ask_at - time.monotonic())
            except Unreachable:
                # A proxy closes idle connections; a server that ended does not open a new one.
                time.sleep(RECONNECT_SECONDS)
                self._connection.open_socket()
                lost = PromptLost("The server was restarted and no longer has the prompt.")
                message, ask_at = None, time.monotonic()
            if message is not None and self._is_about(message, prompt_id):
                yield message
                ask_at = time.monotonic() + PATIENCE
            if time.monotonic() >= ask_at:
                state = self.state(prompt_id)
                if state == "unknown":
                    raise lost
                if state == "ended":
                    return
                ask_at = time.monotonic() + PATIENCE

    def _is_about(self, message: Message, prompt_id: str) -> bool:
        """Tell whether a message is about a prompt; keep it if it is about another that waits."""
        if isinstance(message, bytes):
            return self._running == prompt_id
        about = prompt_of(message)
        self._running = about or self._running
        if about != prompt_id and about in self._inboxes and message["type"] != "progress":
            self._inboxes[about].append(message)
        return about == prompt_id

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

    def state(self, prompt_id: str) -> Literal["queued", "ended", "unknown"]:
        """Tell whether a prompt waits or runs, has ended, or is not known to the server."""
        if self.history(prompt_id) is not None:
            return "ended"
        if self.is_queued(prompt_id):
            return "queued"
        # It may have ended between the two requests.
        return "unknown" if self.history(prompt_id) is None else "ended"

    def forget(self, prompt_id: str) -> None:
        """Delete the server's record of a finished prompt."""
        self._connection.request("POST", "/history", json={"delete": [prompt_id]})

    def result(self, prompt_id: str, graph: Graph) -> PromptResult:
        """Return what a finished prompt made; raises NodeError or Interrupted if it failed."""
        record = self.history(prompt_id)
        if record is None:
            raise PromptLost(
                f"Prompt {prompt_id} is not finished, or the server no longer has its record."
            )
        for message_type, data in record["status"]["messages"]:
            raise_failure(graph, message_type, data)
        return PromptResult(prompt_id, record["outputs"])

    def cancel(self, prompt_id: str) -> None:
        """Remove a prompt from the queue, or interrupt it if it runs."""
        self._connection.request("POST", "/queue", json={"delete": [prompt_id]})
        self._connection.request("POST", "/interrupt", json={"prompt_id": prompt_id})

    def _get(self, path: str) -> Any:
        return self._json("GET", path)

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._connection.json(method, path, **options)
