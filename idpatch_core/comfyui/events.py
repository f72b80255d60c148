"""The progress of a prompt, read from the messages of ComfyUI's websocket."""

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from .errors import raise_failure
from .graph import Graph, title_of

PREVIEW = 1  # the type of a binary message that holds an image: type, image format, image
PREVIEW_HEADER = 8  # bytes

Message = dict[str, Any] | bytes  # of the websocket


class Event(NamedTuple):
    """Something that happened to a running prompt.

    `cached`: node `node` need not run; `executing`: it starts; `progress`: it did `value` of
    `total` steps; `preview`: `data` is its image as JPEG or PNG; `executed`: `data` is its output.
    """

    kind: Literal["cached", "executing", "progress", "preview", "executed"]
    node: str
    title: str
    value: int = 0
    total: int = 0
    data: Any = None


def prompt_of(message: dict[str, Any]) -> str:
    """Return the id of the prompt that a message is about, or an empty string."""
    return message.get("data", {}).get("prompt_id") or ""


def read_events(graph: Graph, prompt_id: str, messages: Iterable[Message]) -> Iterator[Event]:
    """Yield the events of a prompt from the server's messages until it has run.

    Raises NodeError if a node fails and Interrupted if the prompt is cancelled.
    """
    node = ""
    for message in messages:
        if isinstance(message, bytes):
            if len(message) > PREVIEW_HEADER and struct.unpack(">I", message[:4])[0] == PREVIEW:
                image = message[PREVIEW_HEADER:]
                yield Event("preview", node, title_of(graph, node), data=image)
            continue
        kind, data = message["type"], message["data"]
        if data.get("prompt_id") != prompt_id:
            continue
        raise_failure(graph, kind, data)
        if kind == "executing" and data["node"] is None:
            return  # only now has /history the outcome; `execution_success` comes before it
        if kind == "executing":
            node = data["node"]
            yield Event("executing", node, title_of(graph, node))
        elif kind == "execution_cached":
            for cached in data["nodes"]:
                yield Event("cached", cached, title_of(graph, cached))
        elif kind == "progress":
            node = data["node"] or node
            yield Event("progress", node, title_of(graph, node), data["value"], data["max"])
        elif kind == "executed":
            output = data["output"]
            yield Event("executed", data["node"], title_of(graph, data["node"]), data=output)
