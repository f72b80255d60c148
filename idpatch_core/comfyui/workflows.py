"""The files of workflows: the bundled ones, and any in API form."""

import json
from pathlib import Path

from .environment import REPOSITORY
from .graph import Graph
from .ui_format import UIWorkflow

WORKFLOWS = REPOSITORY / "workflows"


def api_file(name: str) -> Path:
    """Return the file of a bundled workflow in API form."""
    return WORKFLOWS / "api" / f"{name}.json"


def load_workflow(name: str) -> tuple[Graph, UIWorkflow]:
    """Return a bundled workflow in API form and in UI form."""
    ui_file = WORKFLOWS / f"{name}.json"
    return read_graph(api_file(name)), json.loads(ui_file.read_text("utf-8"))


def read_graph(file: Path) -> Graph:
    """Read a workflow in API form; raises ValueError if the file holds something else."""
    try:
        graph = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}).") from None
    if not isinstance(graph, dict) or not all(
        isinstance(node, dict) and "class_type" in node and "inputs" in node
        for node in graph.values()
    ):
        raise ValueError(f"{file} is not in API form. In ComfyUI choose Workflow > Export (API).")
    return graph
