"""The bundled workflows in the real frontend: they open whole, and both forms are one graph."""

from typing import Any

import pytest

from idpatch_core.comfyui.workflows import TITLES, load_workflow


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


@pytest.mark.parametrize("name", TITLES)
def test_nodes_do_not_overlap(editor, name):
    editor.open_graph(load_workflow(name)[1])
    editor.page.keyboard.press("Escape")
    editor.settle(20)
    boxes = list(editor.page.evaluate(RECTANGLES).items())
    assert len(boxes) > 10
    overlapping = [
        (a, b)
        for number, (a, one) in enumerate(boxes)
        for b, other in boxes[number + 1 :]
        if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    ]
    assert overlapping == []


@pytest.mark.parametrize("name", TITLES)
def test_text_is_drawn_at_the_scale_of_a_workflow(editor, name):
    """The classic renderer draws no text below 0.6."""
    view = load_workflow(name)[1]["extra"]["ds"]
    assert view["scale"] >= 0.6
    editor.open_graph(load_workflow(name)[1])
    assert editor.page.evaluate("() => editorTest.app.canvas.ds.scale") == view["scale"]
