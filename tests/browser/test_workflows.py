"""The bundled workflows in the real frontend: they open whole, and both forms are one graph."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from editor_page import EditorPage

from idpatch_core.comfyui.workflows import TITLES, load_workflow

EARLIER = Path(__file__).parents[1] / "data" / "earlier"  # templates of the first version
FORMS = ("self_test", "self_test_api")
DEMO = ("self_test", "demo_best_of_four", "region_gate", "describe_people")  # run as they are


def parts(prompt: dict[str, Any]) -> dict[str, tuple]:
    return {
        id: (node["class_type"], node["_meta"]["title"], node["inputs"])
        for id, node in prompt.items()
    }


@pytest.mark.parametrize("name", TITLES)
def test_the_ui_form_opens_whole_and_is_the_api_form(editor, name):
    bundled, graph = load_workflow(name)
    editor.open_graph(graph)
    kinds = editor.page.evaluate("() => editorTest.app.graph.nodes.map((node) => node.type)")
    known = editor.page.evaluate("() => Object.keys(LiteGraph.registered_node_types)")
    assert sorted(kinds) == sorted(node["type"] for node in graph["nodes"])
    assert set(kinds) <= set(known)
    converted = editor.page.evaluate("async () => (await editorTest.app.graphToPrompt()).output")
    assert parts(converted) == parts(bundled)


RECTANGLES = """() => Object.fromEntries(editorTest.app.canvas.graph.nodes.map((node) => {
  const drawn = document.querySelector(`[data-node-id="${node.id}"]`) // in Nodes 2.0
  if (drawn) {
    const { left, top, right, bottom } = drawn.getBoundingClientRect()
    return [node.title, [left, top, right, bottom]]
  }
  const { scale } = editorTest.app.canvas.ds
  const [[x, y], [width, height]] = [node.pos, node.size]
  return [node.title, [x, y - 30, x + width, y + height].map((value) => value * scale)]
}))"""


# Without its cache, the server runs the nodes that show images anew.
FREE_AND_TAKE_ONE_STEP = """async () => {
  const { api } = window.comfyAPI.api
  const body = JSON.stringify({ unload_models: true, free_memory: true })
  const headers = { 'Content-Type': 'application/json' }
  await api.fetchApi('/free', { method: 'POST', headers, body })
  const widgets = editorTest.app.graph.nodes.flatMap((node) => node.widgets ?? [])
  for (const widget of widgets.filter(({ name }) => name === 'steps')) widget.value = 1
}"""

# Of the nodes' widgets, as the frontend has them in new nodes.
DEFAULTS = """(kinds) => Object.fromEntries(kinds.map((kind) => {
  const { widgets = [] } = LiteGraph.createNode(kind)
  return [kind, Object.fromEntries(widgets.map(({ name, value }) => [name, value]))]
}))"""


def find_overlaps(boxes: dict[str, list[float]]) -> list[tuple[str, str]]:
    return [
        (a, b)
        for (a, one), (b, other) in itertools.combinations(boxes.items(), 2)
        if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    ]


def open_whole(editor: EditorPage, name: str) -> None:
    editor.open_graph(load_workflow(name)[1])
    editor.page.keyboard.press("Escape")
    editor.settle(20)


@pytest.mark.parametrize("name", TITLES)
def test_nodes_do_not_overlap(editor, name):
    open_whole(editor, name)
    boxes = editor.page.evaluate(RECTANGLES)
    assert len(boxes) >= 10
    assert find_overlaps(boxes) == []


@pytest.mark.parametrize("name", DEMO)
def test_nodes_do_not_overlap_after_a_run(editor, name):
    """They grow by what they show: portraits, faces, warnings and the check."""
    open_whole(editor, name)
    before = editor.page.evaluate(RECTANGLES)
    editor.page.evaluate(FREE_AND_TAKE_ONE_STEP)
    editor.page.wait_for_timeout(1500)  # until the server has emptied its cache
    editor.run()
    editor.page.wait_for_timeout(1000)  # for the images
    after = editor.page.evaluate(RECTANGLES)
    assert any(after[title][3] > before[title][3] + 10 for title in before)
    assert find_overlaps(after) == []


@pytest.mark.parametrize("name", TITLES)
def test_text_is_drawn_at_the_scale_of_a_workflow(editor, name):
    """The classic renderer draws no text below 0.6."""
    view = load_workflow(name)[1]["extra"]["ds"]
    assert view["scale"] >= 0.6
    editor.open_graph(load_workflow(name)[1])
    assert editor.page.evaluate("() => editorTest.app.canvas.ds.scale") == view["scale"]


def test_a_workflow_saved_before_means_the_same(editor):
    """Only inputs are added that nodes got since, at their defaults."""
    saved = {name: json.loads((EARLIER / f"{name}.json").read_text()) for name in FORMS}
    editor.open_graph(saved["self_test"])
    editor.settle(12)
    converted = editor.page.evaluate("async () => (await editorTest.app.graphToPrompt()).output")
    kinds = [node["class_type"] for node in converted.values()]
    defaults = editor.page.evaluate(DEFAULTS, kinds)
    expected = parts(saved["self_test_api"])
    assert set(converted) == set(expected)
    found: set[str] = set()
    for id, (kind, title, inputs) in parts(converted).items():
        old = expected[id][2]
        assert (kind, title) == expected[id][:2]
        assert {name: inputs.get(name) for name in old} == old
        added = {name: value for name, value in inputs.items() if name not in old}
        assert added == {name: defaults[kind][name] for name in added}
        found |= set(added)
    assert {"bodies", "overlap", "control_end", "reuse_tokens"} <= found
