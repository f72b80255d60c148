"""Axe finds nothing to complain of in the editors, in the dark and in the light theme."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from editor_page import EditorPage

from tests.javascript import AXE, download_tools

TWO = json.dumps([{"x": 300, "y": 300}, {"x": 700, "y": 300}])
PEOPLE = json.dumps([{"name": "Eileen", "photos": ["collins.jpg"]}, {"name": "Barack"}])
CHECK = """async (selector) => {
  const { violations, passes } = await axe.run(selector)
  const found = violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])
  return { found, passes: passes.length }
}"""
SET_PALETTE = "(name) => editorTest.app.extensionManager.setting.set('Comfy.ColorPalette', name)"


@pytest.fixture(scope="module")
def axe() -> str:
    return (download_tools(Path(sys.executable)) / AXE).read_text("utf-8")


@pytest.fixture(params=["dark", "light"])
def themed(editor: EditorPage, axe: str, request: pytest.FixtureRequest) -> Iterator[EditorPage]:
    editor.page.evaluate(axe)
    editor.page.evaluate(SET_PALETTE, request.param)
    editor.settle(10)
    yield editor
    editor.page.evaluate(SET_PALETTE, "dark")


def check(editor: EditorPage, selector: str) -> list[Any]:
    checked = editor.page.evaluate(CHECK, selector)
    assert checked["passes"] > 5
    return checked["found"]


def test_the_placers_node_and_full_size(themed: EditorPage):
    placer = themed.placer(TWO, bodies="standing")
    assert check(themed, ".idpatch-placer") == []
    placer.click(300, 300)
    placer.act("text")
    assert check(themed, ".idpatch-placer") == []
    placer.act("pop_out")
    themed.settle(10)
    assert check(themed, "dialog.idpatch-popout") == []
    placer.act("pop_out")


def test_the_people_node(themed: EditorPage):
    themed.add("IDPatchPeople", 420, 60, people=PEOPLE)
    themed.settle(12)
    themed.page.get_by_label("Phrase and strengths of Eileen").click()
    themed.settle()
    assert check(themed, ".idpatch-group-editor") == []


def test_axe_sees_a_button_without_a_name(themed: EditorPage):
    themed.placer(TWO)
    themed.page.evaluate(
        "() => document.querySelector('.idpatch-placer').append(document.createElement('button'))"
    )
    assert [id for id, _ in check(themed, ".idpatch-placer")] == ["button-name"]
