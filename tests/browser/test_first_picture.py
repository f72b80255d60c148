"""The first group photo, as a newcomer makes it: real clicks from an empty canvas, counted.

The stand-in models have the names of the released files, so that the template runs as it is, but
for its size and steps, which are made small.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from editor_page import EditorPage
from playwright.sync_api import Browser, Locator
from standins import FILES

from idpatch_core.comfyui import environment
from idpatch_core.comfyui.group_photo import MODEL_LOADERS, inputs_of
from idpatch_core.comfyui.server import comfyui_server
from idpatch_core.comfyui.workflows import TITLES, load_workflow

PHOTOS = Path(__file__).parents[1] / "data" / "photos"

MAKE_SMALL = """([steps, width, height]) => {
  const set = (type, values) => {
    const node = editorTest.app.graph.nodes.find((one) => one.type === type)
    for (const [name, value] of Object.entries(values)) {
      const widget = node.widgets.find((one) => one.name === name)
      widget.value = value
      widget.callback?.(value)
    }
  }
  set('IDPatchSampler', { steps })
  set('IDPatchPlacer', { width, height })
}"""
NOTE_END = """() => {
  const { api } = window.comfyAPI.api
  window.idpatchEnd = null
  const note = (text) => { window.idpatchEnd ??= text }
  api.addEventListener('execution_success', () => note('success'), { once: true })
  api.addEventListener('execution_error', ({ detail }) => note(detail.exception_message),
    { once: true })
}"""
OUTPUTS = """() => {
  const { app } = editorTest
  const id = (type) => String(app.graph.nodes.find((one) => one.type === type).id)
  const [report] = app.nodeOutputs[id('IDPatchPlacer')]?.idpatch_placer ?? [null]
  const images = app.nodeOutputs[id('SaveImage')]?.images ?? []
  return { people: report?.people.map(({ name }) => name), images: images.length }
}"""


@pytest.fixture(scope="module")
def page(
    browser: Browser,
    comfy_server,
    server_packs: list[Path],
    combination: str,
    request: pytest.FixtureRequest,
) -> Iterator[EditorPage]:
    """A page of a server that has models of the template's names."""
    graph, _ = load_workflow("group_photo")
    models = {}
    for model, loader in MODEL_LOADERS.items():
        name = inputs_of(graph, loader.node_class)[loader.input_name]
        models[f"{loader.folder}/{name}"] = comfy_server.models[FILES[model]]
    frontend, renderer = combination.split("-")
    newest = request.getfixturevalue("newest_arguments") if frontend == "newest" else ()
    comfyui = environment.find_comfyui()
    assert comfyui
    with comfyui_server(
        sys.executable, comfyui, models, packs=server_packs, arguments=newest
    ) as server:
        page = EditorPage(browser, server.url, vue=renderer == "nodes2", size=(1600, 1000))
        yield page
        page.close()


class Newcomer:
    """Counts what a person does, and takes a screenshot after each action."""

    def __init__(self, editor: EditorPage, shots: Path):
        self.editor, self.page, self.shots = editor, editor.page, shots
        self.actions: list[str] = []

    def did(self, action: str) -> None:
        self.editor.settle(12)
        self.actions.append(action)
        self.editor.shot(self.shots / f"first_picture_{len(self.actions)}_{action}.png")

    def click(self, action: str, target: Locator) -> None:
        target.click()
        self.did(action)

    def choose_photos(self, button: Locator, *photos: str) -> None:
        """A click on the button, and the choice of files in the browser's dialog."""
        before = self.editor.page.locator(".idpatch-image").count()
        with self.page.expect_file_chooser() as chooser:
            button.click()
        self.did("add")
        chooser.value.set_files([PHOTOS / photo for photo in photos])
        self.page.wait_for_function(
            "(count) => [...document.querySelectorAll('.idpatch-image')]"
            ".filter((image) => image.naturalWidth).length >= count",
            arg=before + len(photos),
        )
        self.did("choose")

    def run(self) -> dict[str, Any]:
        """Run the graph with the keyboard; return the people and the number of images."""
        self.page.evaluate(NOTE_END)
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function("() => window.idpatchEnd", timeout=90_000)
        assert self.page.evaluate("() => window.idpatchEnd") == "success"
        self.did("run")
        return self.page.evaluate(OUTPUTS)


def test_the_first_group_photo_takes_six_actions_and_a_third_person_three(
    page: EditorPage, shots: Path
):
    page.clear()
    newcomer = Newcomer(page, shots)
    templates = page.page.get_by_role("button", name="Templates").first
    newcomer.click("templates", templates)
    newcomer.click("pack", page.page.get_by_text("ComfyUI-ID-Patch", exact=True).first)
    newcomer.click("template", page.page.get_by_text(TITLES["group_photo"]).first)
    page.page.wait_for_function("() => editorTest.app.graph.nodes.length === 10")
    page.settle(20)
    page.page.evaluate(MAKE_SMALL, [2, 512, 512])
    add = page.page.get_by_role("button", name="Add people")
    newcomer.choose_photos(add, "collins.jpg", "obama.jpg")
    made = newcomer.run()
    assert len(newcomer.actions) == 6
    assert made == {"people": ["Anna", "Ben"], "images": 1}
    first = len(newcomer.actions)
    newcomer.choose_photos(add, "sunak.jpg")
    made = newcomer.run()
    assert len(newcomer.actions) - first == 3
    assert made == {"people": ["Anna", "Ben", "Sunak"], "images": 1}
    assert page.complaints() == []
