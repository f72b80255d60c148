"""The warnings of a run are on the node that gave them."""

from pathlib import Path

import pytest
from editor_page import EditorPage

SHOW = """([id, warnings]) => {
  const { app } = editorTest
  const node = app.canvas.graph.getNodeById(id)
  const output = { idpatch_warnings: warnings }
  app.nodeOutputs[String(id)] = output
  node.onExecuted(output)
}"""
WARNING = "steps: 4 steps of scheduler 'reference' start at timestep 751 of 1000."


KINDS = [
    "IDPatchBuilder",
    "IDPatchTokenInjector",
    "IDPatchSampler",
    "IDPatchLoadScorer",
    "IDPatchPhrases",
    "IDPatchRefine",
]


@pytest.mark.parametrize("kind", KINDS)
def test_warnings_are_shown_until_a_run_without(editor: EditorPage, shots: Path, kind: str):
    node = editor.add(kind, 300, 90)
    shown = editor.page.locator(".idpatch-warning", has_text=WARNING)
    assert shown.count() == 0
    editor.page.evaluate(SHOW, [node, [WARNING]])
    editor.settle(12)
    assert shown.is_visible()
    box = shown.bounding_box()
    assert box and box["y"] + box["height"] < editor.bottom_of(node)
    editor.shot(shots / f"warning_{kind}.png")
    saved = editor.graph()
    assert WARNING not in str(saved)
    editor.page.evaluate(SHOW, [node, []])
    editor.settle(12)
    assert not shown.is_visible()
    assert editor.graph()["nodes"][0]["widgets_values"] == saved["nodes"][0]["widgets_values"]
