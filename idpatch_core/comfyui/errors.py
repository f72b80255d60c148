"""What a ComfyUI server reports when it refuses a graph or fails to run it."""

from typing import Any

from .graph import Graph, title_of

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class ComfyError(Exception):
    """The server refused, failed or cannot be reached; the message says what and why."""


class Unreachable(ComfyError):
    """The server does not answer, or closed the connection."""


class RequestRefused(ComfyError):
    """The server answered a request with an HTTP status that is an error."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class Interrupted(ComfyError):
    """The prompt was cancelled, or deleted from the queue."""


class PromptLost(ComfyError):
    """The server has no record of the prompt, as after a restart."""


class NodeError(ComfyError):
    """A node refused its inputs or failed while running."""

    def __init__(
        self,
        node_id: str,
        title: str,
        message: str,
        traceback: str = "",
        exception_type: str = "",  # empty if the node refused its inputs
    ):
        super().__init__(f"{title} (node {node_id}): {message}")
        self.node_id = node_id
        self.title = title
        self.message = message
        self.traceback = traceback
        self.exception_type = exception_type

    @property
    def is_out_of_memory(self) -> bool:
        return bool(self.exception_type) and (
            self.exception_type.rpartition(".")[2] in ("OutOfMemoryError", "MemoryError")
            or any(words in self.message.lower() for words in OUT_OF_MEMORY)
        )


def raise_refusal(graph: Graph, answer: dict[str, Any]) -> None:
    """Raise what /prompt answered to a graph that it refused; return if it accepted the graph."""
    for node_id, refused in (answer.get("node_errors") or {}).items():
        reasons = [f"{error['message']}: {error['details']}" for error in refused["errors"]]
        raise NodeError(node_id, title_of(graph, node_id), "; ".join(reasons))
    if "error" in answer:
        error = answer["error"]
        if isinstance(error, dict):
            error = f"{error['message']} {error.get('details', '')}".strip()
        raise ComfyError(f"The server refused the prompt: {error}")


def raise_failure(graph: Graph, message_type: str, data: dict[str, Any]) -> None:
    """Raise what a message says of a prompt that failed or was cancelled; return at others."""
    if message_type == "execution_interrupted":
        raise Interrupted("The prompt was cancelled.")
    if message_type == "execution_error":
        node_id = data["node_id"]
        title = title_of(graph, node_id) or data["node_type"]
        traceback = "".join(data["traceback"])
        message, kind = data["exception_message"].strip(), data.get("exception_type", "")
        raise NodeError(node_id, title, message, traceback, kind)
