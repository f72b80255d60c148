"""The files at the top level that name the nodes: node_list.json and the locales.

`python3 -m tests.docs --write` writes node_list.json, which ComfyUI-Manager reads, and the English
locale, after which the other languages are translated by hand.
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NODE_LIST = ROOT / "node_list.json"
LOCALES = ROOT / "locales"
SPECIAL = "{}@|$"  # characters that ComfyUI's editor does not show as they are in a translation


def locale_path(language: str) -> Path:
    return LOCALES / language / "nodeDefs.json"


def read_locale(language: str) -> dict[str, Any]:
    return json.loads(locale_path(language).read_text(encoding="utf-8"))


def write_files(schemas: list[Any]) -> dict[Path, str]:
    """Return the text of each generated file."""
    nodes = {schema.node_id: schema.description for schema in schemas}
    english = {schema.node_id: describe_node(schema) for schema in schemas}
    return {
        NODE_LIST: json.dumps(nodes, indent=2) + "\n",
        locale_path("en"): json.dumps(english, indent=2) + "\n",
    }


def describe_node(schema: Any) -> dict[str, Any]:
    """Return a node's English locale, without the texts that a locale cannot show."""
    inputs = {socket.id: describe_socket(socket.id, socket) for socket in schema.inputs}
    outputs = {
        str(index): describe_socket(socket.display_name or socket.io_type, socket)
        for index, socket in enumerate(schema.outputs or [])
    }
    node = {"display_name": schema.display_name, "description": schema.description}
    return {**node, "inputs": inputs, "outputs": outputs}


def describe_socket(name: str, socket: Any) -> dict[str, str]:
    shown = not any(character in socket.tooltip for character in SPECIAL)
    return {"name": name, **({"tooltip": socket.tooltip} if shown else {})}
