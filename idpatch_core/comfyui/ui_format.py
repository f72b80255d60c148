"""Workflows in their two forms: API (what the server runs) and UI (what the canvas shows)."""

from collections.abc import Iterator
from typing import Any

from .graph import Graph, is_link

UIWorkflow = dict[str, Any]

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
COLUMN, ROW = 380, 60  # pixels on the canvas, for nodes without a position


def to_ui(
    graph: Graph, object_info: dict[str, Any], original: UIWorkflow | None = None
) -> UIWorkflow:
    """Return the UI form of a graph in API form, which an image can restore on the canvas.

    `object_info` is the server's description of the node classes. Nodes with an id of `original`
    keep the position and look that they have there; its notes and groups stay. Nodes in subgraphs,
    whose ids are such as 11:4, are put outside of them and get new numbers.
    """
    graph = _number_nodes(graph)
    known = {str(node["id"]): node for node in (original or {}).get("nodes", [])}
    positions = _positions(graph, known)
    nodes, links = [], []
    for order, (id, node) in enumerate(graph.items()):
        made = _node(id, node, object_info[node["class_type"]], order, positions[id])
        made |= {key: known[id][key] for key in _LOOK if key in known.get(id, {})}
        nodes.append(made)
    by_id = {str(node["id"]): node for node in nodes}
    for node in nodes:
        for slot, entry in enumerate(node["inputs"]):
            source, output = graph[str(node["id"])]["inputs"][entry["name"]]
            origin = by_id[source]["outputs"][output]
            entry["link"] = len(links) + 1
            origin["links"].append(entry["link"])
            link = [entry["link"], int(source), output, node["id"], slot, origin["type"]]
            links.append(link)
    nodes += [node for id, node in known.items() if id not in graph and node["type"] in _NOTES]
    return {
        **{
            key: value
            for key, value in (original or {}).items()
            if key in ("groups", "extra", "id")
        },
        "last_node_id": max(node["id"] for node in nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "version": 0.4,
    }


def _number_nodes(graph: Graph) -> Graph:
    """Return the graph with a number as the id of each node."""
    numbers = {id: id for id in graph if id.isdigit()}
    last = max(map(int, numbers), default=0)
    inner = [id for id in graph if id not in numbers]
    numbers |= {id: str(last + number) for number, id in enumerate(inner, 1)}
    return {
        numbers[id]: node
        | {
            "inputs": {
                name: [numbers[value[0]], value[1]] if is_link(value) else value
                for name, value in node["inputs"].items()
            }
        }
        for id, node in graph.items()
    }


_LOOK = ("pos", "size", "flags", "color", "bgcolor", "properties", "title", "showAdvanced")
_NOTES = ("Note", "MarkdownNote")


def _node(
    id: str, node: dict[str, Any], info: dict[str, Any], order: int, position: list[float]
) -> dict[str, Any]:
    kind, given = node["class_type"], node["inputs"]
    inputs, values = [], []
    for name, spec in _inputs(info):
        linked, widget = is_link(given.get(name)), _is_widget(spec)
        if linked:
            inputs.append({"name": name, "type": _type(spec), "link": None})
            if widget:
                inputs[-1]["widget"] = {"name": name}
        if widget:
            values += _values(name, spec, None if linked else given.get(name))
    outputs = [
        {"name": name, "type": type, "links": []}
        for name, type in zip(info["output_name"], info["output"], strict=True)
    ]
    return {
        "id": int(id),
        "type": kind,
        "pos": position,
        "size": [320, 100],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": inputs,
        "outputs": outputs,
        "properties": {**_registry_id(kind), "Node name for S&R": kind},
        "widgets_values": values,
        **({"title": node["_meta"]["title"]} if node.get("_meta", {}).get("title") else {}),
    }


def _registry_id(kind: str) -> dict[str, str]:
    """Return the property by which ComfyUI-Manager finds the pack of a node that is missing."""
    return {"cnr_id": "comfyui-id-patch"} if kind.startswith("IDPatch") else {}


def _inputs(info: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, []):
            yield name, info["input"][group][name]


def _type(spec: list[Any]) -> str:
    return "COMBO" if isinstance(spec[0], list) else spec[0]


def _options(spec: list[Any]) -> dict[str, Any]:
    return spec[1] if len(spec) > 1 else {}


def _is_widget(spec: list[Any]) -> bool:
    return _type(spec) in WIDGETS and not _options(spec).get("forceInput")


def _values(name: str, spec: list[Any], value: Any) -> list[Any]:
    """Return a widget's value and those of the widgets that the front end adds to it."""
    options = _options(spec)
    if value is None:
        choices = spec[0] if isinstance(spec[0], list) else options.get("options", [None])
        value = options.get("default", choices[0] if choices else None)
    values = [value]
    if options.get("control_after_generate") or name in ("seed", "noise_seed"):
        values.append("fixed")
    if options.get("image_upload"):
        values.append("image")
    return values


def _positions(graph: Graph, known: dict[str, dict[str, Any]]) -> dict[str, list[float]]:
    """Put nodes without a position in columns below the others, to the right of their sources."""
    depths: dict[str, int] = {}

    def depth(id: str) -> int:
        if id not in depths:
            sources = [value[0] for value in graph[id]["inputs"].values() if is_link(value)]
            depths[id] = 1 + max(map(depth, sources), default=-1)
        return depths[id]

    below = max((node["pos"][1] + node["size"][1] for node in known.values()), default=0) + ROW
    bottoms: dict[int, float] = {}
    positions = {}
    for id in graph:
        column = depth(id)
        top = bottoms.get(column, below)
        positions[id] = [column * COLUMN, top]
        if id not in known:
            bottoms[column] = top + 300
    return positions
