"""The files of workflows: the bundled ones, and any in API form."""

import json
from pathlib import Path

from .environment import REPOSITORY
from .graph import Graph
from .ui_format import UIWorkflow

WORKFLOWS = REPOSITORY / "workflows"
# ComfyUI's template browser sorts the UI forms by their file names, and shows these as titles.
TITLES = {
    "self_test": "1 Demo without downloads",
    "demo_best_of_four": "2 Demo - best of four",
    "group_photo": "3 Group photo",
    "three_people_with_pose": "4 Three people with a pose",
    "pose_free": "5 Faces only",
    "group_photo_best_of_four": "6 Group photo - best of four",
    "group_photo_composable": "7 Group photo - other samplers",
    "region_gate": "8 Demo - region gate",
    "describe_people": "9 Demo - describe people",
    "until_right": "10 Demo - until each person is right",
    "refine": "11 Demo - refine identities",
    "second_pass": "12 Demo - second pass",
}


def api_file(name: str) -> Path:
    """Return the file of a bundled workflow in API form."""
    return WORKFLOWS / "api" / f"{name}.json"


def ui_file(name: str) -> Path:
    """Return the file of a bundled workflow in UI form."""
    return WORKFLOWS / f"{TITLES[name]}.json"


def load_workflow(name: str) -> tuple[Graph, UIWorkflow]:
    """Return a bundled workflow in API form and in UI form."""
    return read_graph(api_file(name)), json.loads(ui_file(name).read_text("utf-8"))


def read_graph(file: Path) -> Graph:
    """Read a workflow in API form; raises ValueError if the file holds something else."""
    try:
        graph = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read ({error}).") from None
    if not isinstance(graph, dict) or not all(
        isinstance(node, dict) and "class_type" in node and "inputs" in node
        for node in graph.values()
    ):
        raise ValueError(f"{file} is not in API form. In ComfyUI choose Workflow > Export (API).")
    return graph
