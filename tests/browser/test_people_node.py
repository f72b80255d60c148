"""The People node's editor, driven with real pointers, keys and files."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from editor_page import EditorPage, near
from PIL import Image

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
THREE = [
    {"name": "Barack", "photos": ["obama.jpg"]},
    {"name": "Eileen", "photos": ["collins.jpg"]},
    {"name": "Rishi", "photos": ["sunak.jpg"]},
]


class People:
    """The editor of one People node."""

    def __init__(self, editor: EditorPage, people: list[Any] | None = None, **position: float):
        place = {"x": 420, "y": 60, **position}
        text = json.dumps(people) if people else ""
        self.editor, self.page = editor, editor.page
        self.number = editor.add("IDPatchPeople", place["x"], place["y"], people=text)
        editor.settle(12)
        self.root = self.page.locator(".idpatch-group-editor").last

    @property
    def text(self) -> str:
        return self.page.evaluate("(id) => editorTest.widget(id, 'people').value", self.number)

    @property
    def people(self) -> list[dict[str, Any]]:
        return json.loads(self.text or "[]")

    @property
    def names(self) -> list[str]:
        return [person["name"] for person in self.people]

    def card(self, index: int) -> Any:
        return self.root.locator(f"[data-person='{index}']")

    def wait_for(self, count: int) -> None:
        self.page.wait_for_function(
            "([id, count]) => JSON.parse(editorTest.widget(id, 'people').value || '[]').length"
            " === count",
            arg=[self.number, count],
        )
        self.editor.settle(12)

    def give(self, kind: str, files: list[Path], index: int | None = None) -> None:
        """Drop or paste files on the editor, or on a person, as the browser tells it."""
        target = self.root if index is None else self.card(index)
        content = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
        target.evaluate(
            """(element, [kind, content]) => {
              const data = new DataTransfer()
              for (const [name, bytes] of content) {
                const array = Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))
                data.items.add(new File([array], name, { type: 'image/jpeg' }))
              }
              const options = { bubbles: true, cancelable: true }
              const event = kind === 'paste'
                ? new ClipboardEvent(kind, { ...options, clipboardData: data })
                : new DragEvent(kind, { ...options, dataTransfer: data })
              element.dispatchEvent(event)
            }""",
            [kind, content],
        )

    def is_inside_node(self) -> bool:
        """Whether the editor ends within its node on the page."""
        inner = self.root.locator(".idpatch-inner").bounding_box()
        assert inner
        return inner["y"] + inner["height"] < self.editor.bottom_of(self.number)


def test_photos_become_people_by_dialog_drop_and_paste(editor: EditorPage, shots: Path):
    people = People(editor)
    with editor.page.expect_file_chooser() as chooser:
        people.root.get_by_role("button", name="Add people").click()
    chooser.value.set_files([PHOTOS / "obama.jpg", PHOTOS / "collins.jpg"])
    people.wait_for(2)
    assert people.names == ["Obama", "Collins"]
    people.give("drop", [PHOTOS / "sunak.jpg"])
    people.wait_for(3)
    people.give("paste", [PHOTOS / "macron_2014.jpg"], index=2)
    editor.page.wait_for_function(
        "(id) => JSON.parse(editorTest.widget(id, 'people').value)[2].photos.length === 2",
        arg=people.number,
    )
    editor.settle(12)
    assert people.names == ["Obama", "Collins", "Sunak"]
    stored = [photo for person in people.people for photo in person["photos"]]
    assert [photo.split(".")[0].split(" ")[0] for photo in stored] == [
        *("obama", "collins", "sunak"),
        "macron_2014",
    ]
    editor.page.wait_for_function(
        "() => [...document.querySelectorAll('.idpatch-image')].every((one) => one.naturalWidth)"
    )
    images = people.root.locator("img")
    assert images.count() == 4
    sizes = images.evaluate_all("(all) => all.map((one) => [one.naturalWidth, one.width])")
    assert all(natural > 200 and shown > 50 for natural, shown in sizes)
    assert editor.page.evaluate("() => editorTest.app.canvas.graph.nodes.length") == 1
    assert people.is_inside_node()
    editor.shot(shots / "people.png")


def test_names_strengths_and_removal(editor: EditorPage):
    people = People(editor, THREE)
    field = people.card(1).get_by_label("Name of person 2")
    field.fill("  Colonel   Collins ")
    field.press("Enter")
    assert people.names == ["Barack", "Colonel Collins", "Rishi"]
    people.card(0).get_by_role("button", name="Phrase and strengths of Barack").click()
    strength = people.card(0).get_by_label("Token strength")
    strength.fill("0.5")
    strength.press("Enter")
    assert people.people[0] == {**THREE[0], "token_strength": 0.5}
    strength.fill("99")
    strength.press("Enter")
    assert people.people[0]["token_strength"] == 10
    phrase = people.card(0).get_by_label("Clothes, hair, expression of Barack")
    phrase.fill(" red  tie ")
    phrase.press("Enter")
    assert people.people[0]["phrase"] == "red tie"
    people.card(1).get_by_role("button", name="Remove Colonel Collins", exact=True).click()
    editor.settle()
    assert people.names == ["Barack", "Rishi"]
    people.card(1).get_by_role("button", name="Remove photo 1 of Rishi").click(force=True)
    editor.settle()
    assert people.people[1]["photos"] == []
    assert people.root.locator("[data-field=token_strength]").count() == 0


def test_typing_is_no_shortcut_of_the_graph(editor: EditorPage):
    people = People(editor, THREE)
    field = people.card(0).get_by_label("Name of person 1")
    field.click()
    for key in ("End", "Backspace", "Delete", "r", "g", "x"):
        editor.page.keyboard.press(key)
    editor.page.keyboard.press("Tab")
    assert people.names[0] == "Baracrgx"
    assert editor.page.evaluate("() => editorTest.app.canvas.graph.nodes.length") == 1


def handle_box(people: People, index: int) -> dict[str, float]:
    box = people.card(index).locator("[data-handle]").bounding_box()
    assert box
    return box


def test_the_order_changes_by_drag_and_by_keys(editor: EditorPage, shots: Path):
    people = People(editor, THREE)
    place = editor.page.evaluate(
        "(id) => [...editorTest.app.canvas.graph.getNodeById(id).pos]", people.number
    )
    start, end = handle_box(people, 0), handle_box(people, 2)
    mouse = editor.page.mouse
    mouse.move(start["x"] + 10, start["y"] + 10)
    mouse.down()
    mouse.move(end["x"] + 10, end["y"] + 120, steps=8)
    editor.shot(shots / "people_drag.png")
    mouse.up()
    editor.settle()
    assert people.names == ["Eileen", "Rishi", "Barack"]
    people.card(2).locator("[data-handle]").focus()
    editor.page.keyboard.press("ArrowUp")
    editor.page.keyboard.press("ArrowUp")
    assert people.names == ["Barack", "Eileen", "Rishi"]
    start = handle_box(people, 0)
    mouse.move(start["x"] + 10, start["y"] + 10)
    mouse.down()
    mouse.move(end["x"] + 10, end["y"] + 120, steps=4)
    editor.page.keyboard.press("Escape")
    mouse.up()
    assert people.names == ["Barack", "Eileen", "Rishi"]
    assert place == editor.page.evaluate(
        "(id) => [...editorTest.app.canvas.graph.getNodeById(id).pos]", people.number
    )


def group_photo() -> bytes:
    image = Image.new("RGB", (1200, 500), "#808080")
    for name, left, scale in (("sunak", 0, 0.6), ("collins", 330, 0.9), ("obama", 800, 0.7)):
        part = Image.open(PHOTOS / f"{name}.jpg").convert("RGB")
        size = (round(part.width * scale), round(part.height * scale))
        image.paste(part.resize(size, Image.Resampling.LANCZOS), (left, 0))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def test_a_click_chooses_the_face_before_and_after_a_run(
    editor: EditorPage, comfy_server, shots: Path
):
    file = editor.page.evaluate(
        """async (bytes) => {
          const array = Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))
          const body = new FormData()
          body.append('image', new File([array], 'three people.png', { type: 'image/png' }))
          const answer = await window.comfyAPI.api.api.fetchApi('/upload/image',
            { method: 'POST', body })
          return (await answer.json()).name
        }""",
        base64.b64encode(group_photo()).decode(),
    )
    people = People(editor, [{"name": "Eileen", "photos": [file]}])
    faces = editor.add("IDPatchLoadFaceModel", 40, 90)
    editor.connect(faces, "face_model", people.number, "face_model")
    saver = editor.add("IDPatchSaveIdentities", 40, 300)
    editor.connect(people.number, "identities", saver, "identities")
    image = people.card(0).locator("img")
    box = image.bounding_box()
    assert box
    editor.page.mouse.click(box["x"] + 0.45 * box["width"], box["y"] + 0.4 * box["height"])
    editor.settle()
    face = people.people[0]["photos"][0]["face"]
    assert near(face, (0.45, 0.4), 0.02)
    assert people.root.locator(".idpatch-mark").count() == 1
    shown = editor.run()
    report = shown[str(people.number)]["idpatch_photos"][0][file]
    assert len(report["faces"]) == 3
    boxes = people.root.locator(".idpatch-face")
    assert boxes.count() == 3
    chosen = [one == "true" for one in boxes.evaluate_all(PRESSED)]
    left, _, right, _ = report["faces"][chosen.index(True)]
    assert left < 0.45 < right and sum(chosen) == 1
    crop = people.card(0).locator("[data-handle]").evaluate("(one) => one.style.backgroundImage")
    assert "idpatch_face_" in crop
    boxes.nth(chosen.index(False)).click()
    editor.settle()
    other = people.people[0]["photos"][0]["face"]
    left, top, right, bottom = report["faces"][chosen.index(False)]
    assert near(other, ((left + right) / 2, (top + bottom) / 2), 1e-3)
    editor.shot(shots / "people_faces.png")
    assert editor.run()[str(people.number)]["idpatch_faces"][0]["warnings"] == []


PRESSED = "(all) => all.map((one) => one.getAttribute('aria-pressed'))"


def press_until(editor: EditorPage, keys: str, text: str) -> None:
    """Press keys until the only node has this text; the node's new height may be a step of undo."""
    stored = (
        "() => editorTest.app.canvas.graph.nodes[0].widgets"
        ".find(({ name }) => name === 'people').value"
    )
    for _ in range(4):
        editor.page.keyboard.press(keys)
        editor.page.wait_for_timeout(500)
        editor.settle(12)
        if editor.page.evaluate(stored) == text:
            return
    raise AssertionError(f"{keys}: {editor.page.evaluate(stored)}")


def test_undo_and_saving(editor: EditorPage):
    people = People(editor, THREE)
    people.card(0).get_by_role("button", name="Remove Barack", exact=True).click()
    editor.settle()
    removed = people.text
    editor.page.mouse.click(1150, 650)
    press_until(editor, "Control+z", json.dumps(THREE))
    assert editor.page.locator(".idpatch-someone").count() == 3
    press_until(editor, "Control+y", removed)
    saved = editor.graph()
    assert removed in saved["nodes"][0]["widgets_values"]
    editor.clear()
    editor.open_graph(saved)
    editor.settle(12)
    assert editor.graph()["nodes"][0]["widgets_values"] == saved["nodes"][0]["widgets_values"]
    assert editor.page.locator(".idpatch-someone").count() == 2


def test_the_placer_shows_the_people_before_a_run(editor: EditorPage):
    people = People(editor, THREE, x=40)
    builder = editor.add("IDPatchBuilder", 40, 700)
    placer = editor.placer(x=700)
    editor.connect(people.number, "identities", builder, "identities")
    editor.connect(builder, "id_patches", placer.number, "id_patches")
    assert [name.split(",")[0] for name in placer.people()] == [
        "1 Barack",
        "2 Eileen",
        "3 Rishi",
    ]
    people.card(1).get_by_role("button", name="Remove Eileen", exact=True).click()
    editor.settle(12)
    assert [name.split(",")[0] for name in placer.people()] == ["1 Barack", "2 Rishi"]


def test_people_of_a_link_cannot_be_changed(editor: EditorPage):
    people = People(editor, THREE)
    # Newer frontends take the editor of a connected input off the page.
    state = """(id) => {
      const { element } = editorTest.widget(id, 'people')
      return [element.textContent.includes('The people come from the connected input.'),
        element.querySelector('[data-field=name]').disabled]
    }"""
    text = editor.add("PrimitiveStringMultiline", 40, 600)
    editor.connect(text, "STRING", people.number, "people")
    editor.settle(12)
    assert editor.page.evaluate(state, people.number) == [True, True]
    editor.disconnect(people.number, "people")
    editor.settle(12)
    assert editor.page.evaluate(state, people.number) == [False, False]


def test_nothing_is_left_when_the_node_is_removed(editor: EditorPage):
    empty = editor.watched()
    people = [People(editor, THREE), People(editor, THREE, x=20)]
    assert editor.watched() > empty
    for one in people:
        editor.page.evaluate(
            "(id) => { const { graph } = editorTest.app.canvas;"
            " graph.remove(graph.getNodeById(id)) }",
            one.number,
        )
    editor.settle()
    assert editor.watched() == empty
    assert editor.page.locator(".idpatch-group-editor").count() == 0


@pytest.mark.parametrize("text", ["{", '[{"photos": [3]}]'])
def test_a_text_that_cannot_be_read_is_kept_and_said(editor: EditorPage, text: str):
    number = editor.add("IDPatchPeople", 400, 60, people=text)
    editor.settle(12)
    assert editor.page.get_by_text("The people cannot be read").is_visible()
    assert editor.page.evaluate("(id) => editorTest.widget(id, 'people').value", number) == text
