"""The bundled workflows in the real frontend: they open whole, and both forms are one graph."""

import json
from pathlib import Path
from typing import Any

import pytest

WORKFLOWS = Path(__file__).parents[2] / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))


def parts(prompt: dict[str, Any]) -> dict[str, tuple]:
    return {
        id: (node["class_type"], node["_meta"]["title"], node["inputs"])
        for id, node in prompt.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_ui_form_opens_whole_and_is_the_api_form(editor, name):
    graph = json.loads((WORKFLOWS / f"{name}.json").read_text())
    editor.open_graph(graph)
    kinds = editor.page.evaluate("() => editorTest.app.graph.nodes.map((node) => node.type)")
    known = editor.page.evaluate("() => Object.keys(LiteGraph.registered_node_types)")
    assert sorted(kinds) == sorted(node["type"] for node in graph["nodes"])
    assert set(kinds) <= set(known)
    converted = editor.page.evaluate("async () => (await editorTest.app.graphToPrompt()).output")
    bundled = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    assert parts(converted) == parts(bundled)
