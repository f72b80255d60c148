"""Nodes and links of a graph in API form, which is what a ComfyUI server runs.

A graph is `{node id: {"class_type", "inputs", "_meta": {"title"}}}`; a linked input is
`[node id, output index]`.
"""

from collections.abc import Iterator
from typing import Any

Graph = dict[str, dict[str, Any]]


def find_nodes(graph: Graph, node_class: str) -> list[str]:
    """Return the ids of the nodes of a class."""
    return [id for id, node in graph.items() if node["class_type"] == node_class]


def find_node(graph: Graph, node_class: str) -> str:
    """Return the id of the one node of a class; raises ValueError if there are none or several."""
    ids = find_nodes(graph, node_class)
    if len(ids) != 1:
        raise ValueError(f"The workflow must have one {node_class} node, this one has {len(ids)}.")
    return ids[0]


def inputs_of(graph: Graph, node_class: str) -> dict[str, Any]:
    """Return the inputs of the one node of a class; raises ValueError as `find_node` does."""
    return graph[find_node(graph, node_class)]["inputs"]


def title_of(graph: Graph, node_id: str) -> str:
    """Return a node's title as its author wrote it, or else its class."""
    node = graph.get(node_id, {})
    return node.get("_meta", {}).get("title") or node.get("class_type", "")


def add_node(graph: Graph, node_class: str, inputs: dict[str, Any]) -> str:
    """Add a node and return its id."""
    id = str(max((int(key) for key in graph if key.isdigit()), default=0) + 1)
    graph[id] = {"class_type": node_class, "inputs": inputs}
    return id


def is_link(value: Any) -> bool:
    """Tell whether an input's value is a link to a node's output."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def links(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a node's linked inputs: the input's name, the id of the node that it is linked to."""
    for name, value in node["inputs"].items():
        if is_link(value):
            yield name, value[0]
