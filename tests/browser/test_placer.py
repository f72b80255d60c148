"""The Patch Placer's editor, driven with real pointers and keys."""

import json
from pathlib import Path

import pytest
from editor_page import HELP, EditorPage, Placer, near

from idpatch_core.poses import make_standing
from idpatch_core.skeleton import find_heads

THREE = json.dumps([{"x": 200, "y": 300}, {"x": 500, "y": 420}, {"x": 800, "y": 300}])


def test_drag_moves_that_person_only_and_never_the_node(editor: EditorPage, shots: Path):
    placer = editor.placer(THREE)
    before = placer.position()
    placer.drag((500, 420), (560, 640))
    assert near(placer.points[1], (560, 640), placer.pixel())
    assert (placer.points[0], placer.points[2]) == ((200, 300), (800, 300))
    assert placer.position() == before
    editor.shot(shots / "dragged.png", placer)


def test_opening_and_touching_without_moving_changes_nothing(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.click(200, 300)
    placer.click(400, 900)
    assert placer.text == THREE


@pytest.mark.parametrize("scale", [0.45, 1.6])
def test_zoomed_and_scrolled(editor: EditorPage, scale: float):
    placer = editor.placer(THREE)
    editor.view(scale, 150 / scale - 400, 130 / scale - 150)
    before = placer.position()
    placer.drag((200, 300), (300, 560))
    assert near(placer.points[0], (300, 560), 1.5 * placer.pixel())
    assert placer.points[1:] == [(500, 420), (800, 300)]
    assert placer.position() == before


def test_a_drag_ends_at_the_edge(editor: EditorPage):
    placer = editor.placer(THREE)
    start = placer.on_page(200, 300)
    editor.page.mouse.move(*start)
    editor.page.mouse.down()
    editor.page.mouse.move(start.x - 900, start.y - 30, steps=5)
    editor.page.mouse.up()
    editor.settle()
    assert placer.points[0] is not None and placer.points[0][0] == 0


def test_escape_ends_a_drag_where_it_began(editor: EditorPage):
    placer = editor.placer(THREE)
    start = placer.on_page(200, 300)
    editor.page.mouse.move(*start)
    editor.page.mouse.down()
    editor.page.mouse.move(start.x + 60, start.y, steps=3)
    placer.press("Escape")
    editor.page.mouse.up()
    assert placer.text == THREE


def test_a_drag_ends_when_the_person_vanishes(editor: EditorPage):
    placer = editor.group(["obama.jpg", "collins.jpg"])
    start = placer.on_page(768, 358)
    editor.page.mouse.move(*start)
    editor.page.mouse.down()
    editor.page.mouse.move(start.x + 30, start.y, steps=3)
    editor.disconnect(placer.number, "id_patches")
    editor.page.mouse.move(start.x + 60, start.y, steps=3)
    editor.page.mouse.up()
    editor.settle()
    assert placer.text == ""


def test_touch_and_pen(editor: EditorPage):
    placer = editor.placer(THREE)
    session = editor.context.new_cdp_session(editor.page)
    start, end = placer.on_page(200, 300), placer.on_page(260, 460)
    for kind, touched in (("touchStart", [start]), ("touchMove", [end]), ("touchEnd", [])):
        points = [{"x": point.x, "y": point.y} for point in touched]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    editor.settle()
    assert near(placer.points[0], (260, 460), placer.pixel())

    start, end = placer.on_page(800, 300), placer.on_page(740, 200)
    pen = {"pointerType": "pen", "button": "left", "clickCount": 1}
    for kind, point, buttons in (
        ("mouseMoved", start, 0),
        ("mousePressed", start, 1),
        ("mouseMoved", end, 1),
        ("mouseReleased", end, 0),
    ):
        event = {"type": kind, "x": point.x, "y": point.y, "buttons": buttons, **pen}
        session.send("Input.dispatchMouseEvent", event)
    editor.settle()
    assert near(placer.points[2], (740, 200), placer.pixel())
    assert placer.points[1] == (500, 420)


def test_keys_choose_nudge_take_off_and_put_back(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.click(200, 300)
    placer.press("ArrowRight", "Shift+ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp")
    assert placer.points[0] == (199, 309)
    placer.press("Tab", "Shift+ArrowRight", "Tab", "Tab", "ArrowUp")
    assert placer.points == [(199, 308), (510, 420), (800, 300)]
    placer.press("Shift+Tab", "Delete")
    assert placer.points == [(199, 308), (510, 420), None]
    assert "Person 3 is off the canvas." in placer.messages()
    placer.press("Enter")
    assert placer.points == [(199, 308), (510, 420), (800, 300)]
    assert editor.page.evaluate("() => editorTest.app.canvas.graph.nodes.length") == 1


def test_undo_and_redo_of_the_editor(editor: EditorPage):
    placer = editor.placer(THREE)
    assert not placer.enabled("redo")
    placer.drag((200, 300), (300, 760))
    placer.act("row")
    assert len({point[1] for point in placer.points if point}) == 1
    placer.act("undo")
    assert near(placer.points[0], (300, 760), placer.pixel())
    placer.act("undo")
    assert placer.text == THREE
    placer.act("redo")
    assert near(placer.points[0], (300, 760), placer.pixel())


def test_undo_and_redo_of_comfyui(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.drag((200, 300), (300, 760))
    dragged = placer.text
    placer.press("Shift+ArrowRight")
    moved = placer.text
    for keys, text in (
        ("Control+z", dragged),
        ("Control+z", THREE),
        ("Control+y", dragged),
        ("Control+y", moved),
    ):
        editor.page.keyboard.press(keys)
        editor.wait_for_text(text)
    [placer] = editor.placers()
    assert placer.focused()
    placer.act("undo")
    assert placer.text == dragged


def test_a_held_key_is_one_step_of_undo(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.click(200, 300)
    for _ in range(5):
        editor.page.keyboard.down("ArrowRight")
    editor.page.keyboard.up("ArrowRight")
    editor.settle()
    assert placer.points[0] == (205, 300)
    placer.act("undo")
    assert placer.text == THREE


def test_saved_and_opened_again_to_the_letter(editor: EditorPage):
    written = '[ {"x":200.125,"y":300,"note":"Ö"},\n null ]'
    editor.placer(written)
    saved = editor.graph()
    editor.clear()
    editor.open_graph(saved)
    [placer] = editor.placers()
    assert placer.text == written
    assert editor.graph()["nodes"][0]["widgets_values"] == saved["nodes"][0]["widgets_values"]
    placer.drag((200, 300), (400, 560))
    assert near(placer.points[0], (400, 560), placer.pixel())
    assert json.loads(placer.text)["people"][0]["note"] == "Ö"
    saved = editor.graph()
    editor.load()
    editor.open_graph(saved)
    assert near(editor.placers()[0].points[0], (400, 560), placer.pixel() + 1)


def test_copied_and_pasted(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.drag((200, 300), (300, 500))
    editor.page.evaluate(
        "(id) => { const { canvas } = editorTest.app;"
        " canvas.selectNode(canvas.graph.getNodeById(id)); canvas.copyToClipboard();"
        " canvas.graph_mouse[0] = 820; canvas.graph_mouse[1] = 90; canvas.pasteFromClipboard() }",
        placer.number,
    )
    editor.settle(10)
    first, second = editor.placers()
    assert first.text == second.text
    second.drag((800, 300), (600, 800))
    assert near(second.points[2], (600, 800), second.pixel())
    assert first.points[2] == (800, 300)


def test_two_placers_are_independent(editor: EditorPage):
    first = editor.placer(THREE, x=80)
    second = editor.placer(THREE, x=480, width=512)
    first.drag((500, 420), (560, 800))
    second.drag((200, 300), (100, 100))
    assert near(first.points[1], (560, 800), first.pixel())
    assert first.points[0] == (200, 300)
    assert near(second.points[0], (100, 100), second.pixel())
    assert second.points[1] == (500, 420)


def test_inside_a_subgraph(editor: EditorPage):
    placer = editor.placer(THREE)
    editor.page.evaluate(
        """(id) => {
          const { canvas } = editorTest.app
          const nodes = new Set([canvas.graph.getNodeById(id)])
          editorTest.host = canvas.graph.convertToSubgraph(nodes).node
        }""",
        placer.number,
    )
    editor.settle(12)
    editor.page.evaluate(
        "() => { const { app, host } = editorTest; app.canvas.openSubgraph(host.subgraph, host) }"
    )
    editor.settle(12)
    editor.view()
    [inner] = editor.placers()
    assert inner.text == THREE
    editor.page.evaluate(
        "(id) => { const node = editorTest.app.canvas.graph.getNodeById(id);"
        " node.pos = [420, 120] }",
        inner.number,
    )
    editor.settle()
    inner.drag((500, 420), (560, 760))
    assert near(inner.points[1], (560, 760), inner.pixel())
    prompt = editor.page.evaluate("async () => (await editorTest.app.graphToPrompt()).output")
    [node] = prompt.values()
    assert node["inputs"]["placements"] == inner.text


def test_size_scales_the_placements_and_the_stage(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.set_by_hand("width", 512)
    placer.set_by_hand("height", 2048)
    assert placer.size() == (512, 2048)
    assert placer.points == [(100, 600), (250, 840), (400, 600)]
    placer.set_by_hand("width", 1024)
    placer.set_by_hand("height", 1024)
    assert placer.points == [(200, 300), (500, 420), (800, 300)]


def test_size_from_connected_numbers(editor: EditorPage):
    placer = editor.placer(THREE)
    number = editor.add("PrimitiveInt", 60, 90, value=2048)
    editor.connect(number, "INT", placer.number, "width")
    editor.page.mouse.click(30, 700)
    editor.settle()
    assert placer.size() == (2048, 1024)
    assert placer.points == [(400, 300), (1000, 420), (1600, 300)]


def test_another_size_is_reported_and_changes_nothing(editor: EditorPage):
    written = '{"version": 1, "width": 512, "height": 512, "people": [{"x": 100, "y": 200}]}'
    placer = editor.placer(written)
    messages = [one.replace("\u00d7", "x") for one in placer.messages()]
    assert "The placements are for 512x512; the image is 1024x1024." in messages
    assert placer.text == written
    placer.act("scale")
    assert placer.points == [(200, 400)]
    placer.act("undo")
    placer.act("keep")
    assert placer.points == [(100, 200)]
    assert json.loads(placer.text)["width"] == 1024


def test_people_are_known_before_the_first_run(editor: EditorPage):
    placer = editor.group(["obama.jpg", "collins.jpg"])
    assert placer.people() == ["1 obama, 256, 358", "2 collins, 768, 358"]
    assert placer.text == ""


def test_number_of_people_changes_upstream(editor: EditorPage):
    placer = editor.group(["obama.jpg", "collins.jpg"])
    placer.drag((256, 358), (300, 500))
    written = placer.text
    [builder] = editor.page.evaluate(
        "() => editorTest.app.canvas.graph.nodes"
        ".filter(({ type }) => type === 'IDPatchBuilder').map(({ id }) => id)"
    )
    faces, encoder = editor.page.evaluate(
        "() => ['IDPatchLoadFaceModel', 'IDPatchFaceEncoder'].map((kind) =>"
        " editorTest.app.canvas.graph.nodes.filter(({ type }) => type === kind).at(-1).id)"
    )
    third = editor.encoder(faces, encoder, "sunak.jpg", 700)
    editor.connect(third, "identities", builder, "identities")
    editor.page.mouse.click(1000, 800)
    editor.settle()
    assert "sunak is new and was placed automatically." in placer.messages()
    assert placer.text == written
    placer.act("complete")
    assert len(placer.points) == 3
    assert placer.points[:2] == json_points(written)

    editor.connect(encoder, "identities", builder, "identities")
    editor.page.mouse.click(1000, 800)
    editor.settle()
    assert "sunak is gone." in placer.messages()
    placer.act("trim")
    assert placer.points == json_points(written)


def json_points(text: str) -> list[tuple[float, float]]:
    return [(one["x"], one["y"]) for one in json.loads(text)["people"]]


def test_a_run_uses_the_same_points(editor: EditorPage, shots: Path):
    placer = editor.group(["obama.jpg", "collins.jpg", "sunak.jpg"], width=768, height=512)
    placer.drag(row_point(placer, 0), (150, 100))
    placer.click(*row_point(placer, 2))
    placer.press("Delete")
    outputs = editor.run()
    [report] = outputs[str(placer.number)]["idpatch_placer"]
    ran = [(one["x"], one["y"]) if one["x"] is not None else None for one in report["people"]]
    assert ran == placer.points
    assert ran[2] is None
    assert [one["name"] for one in report["people"]] == ["obama", "collins", "sunak"]
    faces = [output["idpatch_faces"] for output in outputs.values() if "idpatch_faces" in output]
    for [shown] in faces:
        assert len(shown["faces"]) == 1
    shown = editor.page.evaluate(
        "() => editorTest.app.canvas.graph.nodes"
        ".filter(({ type }) => type === 'IDPatchFaceEncoder')"
        ".map((node) => node.widgets.find(({ name }) => name === 'faces').element)"
        ".map((element) => element.querySelector('.idpatch-caption')?.textContent)"
    )
    assert set(shown) <= {"1 obama", "2 collins", "3 sunak", None}
    assert len([one for one in shown if one]) == len(faces)
    previews = editor.page.evaluate(
        """(id) => [
          (editorTest.app.canvas.graph.getNodeById(id).imgs ?? []).length,
          document.querySelectorAll(`[data-node-id="${id}"] img`).length
        ]""",
        placer.number,
    )
    assert previews == [0, 0]  # the editor shows the same
    editor.shot(shots / "after_a_run.png")


def test_a_batch_of_two_runs_with_the_same_placements(editor: EditorPage):
    placer = editor.group(["obama.jpg", "collins.jpg"], width=256, height=256)
    placer.drag(row_point(placer, 0), (60, 100))
    written = placer.text
    graphs = editor.page.evaluate(
        """async () => {
          const { app } = editorTest
          const { api } = window.comfyAPI.api
          const ids = []
          api.addEventListener('execution_success', ({ detail }) => ids.push(detail.prompt_id))
          await app.queuePrompt(0, 2)
          const runOf = async (id) => (await (await api.fetchApi(`/history/${id}`)).json())[id]
          for (let tries = 0; tries < 300; tries++) {
            const runs = await Promise.all(ids.map(runOf))
            if (runs.length === 2 && runs.every(Boolean)) return runs.map((run) => run.prompt[2])
            await new Promise((resolve) => setTimeout(resolve, 100))
          }
          throw new Error('The batch did not finish.')
        }"""
    )
    texts = [graph[str(placer.number)]["inputs"]["placements"] for graph in graphs]
    assert texts == [written, written]
    assert placer.text == written


def row_point(placer: Placer, index: int) -> tuple[float, float]:
    x, y = placer.people()[index].split(", ")[-2:]
    return float(x), float(y)


def test_snaps_to_found_poses(editor: EditorPage):
    placer = editor.group(["obama.jpg", "collins.jpg"])
    pose = editor.add("IDPatchLoadPose", 20, 600, pose="standing_2")
    editor.connect(pose, "pose_keypoint", placer.number, "pose_keypoint")
    outputs = editor.run()
    [report] = outputs[str(placer.number)]["idpatch_placer"]
    [first, second] = sorted(tuple(pose) for pose in report["poses"])
    assert near(row_point(placer, 0), first, 1) and near(row_point(placer, 1), second, 1)
    placer.drag(first, (first[0] + 100, first[1] + 200))
    placer.drag((first[0] + 100, first[1] + 200), (first[0] + 6, first[1] - 6))
    assert near(placer.points[0], first, 1)
    placer.act("snap")
    placer.drag(first, (first[0] + 12, first[1]))
    assert not near(placer.points[0], first, 4)


def with_pose(editor: EditorPage, pose: str, width: int = 1024) -> tuple[Placer, int]:
    placer = editor.group(["obama.jpg", "collins.jpg"])
    source = editor.add("IDPatchLoadPose", 20, 600, pose=pose, width=width)
    editor.connect(source, "pose_keypoint", placer.number, "pose_keypoint")
    return placer, source


def test_a_first_drag_before_a_run_starts_from_the_skeletons(editor: EditorPage, shots: Path):
    """Writes the other person where the node would place them: at the nose of their pose."""
    placer, _ = with_pose(editor, "standing_2")
    noses = [head.point for head in find_heads(make_standing(2, 1024, 1024))[0]]
    assert near(row_point(placer, 0), noses[0], 1) and near(row_point(placer, 1), noses[1], 1)
    placer.drag(noses[0], (noses[0].x - 100, noses[0].y + 300))
    assert near(placer.points[1], noses[1], 0.01)
    editor.shot(shots / "skeleton_follows.png", placer)
    assert placer.messages() == []


def test_no_one_is_dragged_while_a_pose_is_unknown(editor: EditorPage):
    placer, _ = with_pose(editor, "standing_2")
    kind = "IDPatchLoadPose"
    editor.page.evaluate(
        "(kind) => { editorTest.app.canvas.graph.nodes.find(({ type }) => type === kind)"
        ".widgets.find(({ name }) => name === 'pose').value = 'found.json' }",
        kind,
    )
    editor.page.mouse.click(1000, 800)
    editor.settle()
    placer.drag(row_point(placer, 0), (300, 500))
    placer.press("ArrowLeft", "Delete")
    assert placer.text == ""
    assert placer.messages()[0].startswith("Where the poses are is known after a run.")
    placer.act("row")
    assert len(placer.points) == 2


def test_a_pose_of_another_size_can_be_fitted(editor: EditorPage):
    placer, source = with_pose(editor, "standing_2", width=512)
    [message] = placer.messages()
    assert message.startswith("The pose is 512")
    placer.act("fit_pose")
    width = editor.page.evaluate("(id) => editorTest.widget(id, 'width').value", source)
    assert width == 1024
    assert placer.messages() == ["Placed automatically. Drag a person to place by hand."]


def test_keeps_its_width_beside_the_side_panel(editor: EditorPage):
    """That panel of newer frontends leaves its own width on widgets that it shows."""
    placer = editor.placer(THREE)
    width = placer.evaluate("return element.clientWidth")
    editor.show_side_panel(True)
    editor.page.evaluate(
        """(id) => {
          const { canvas } = editorTest.app
          canvas.selectNode(canvas.graph.getNodeById(id))
          editorTest.widget(id, 'placements').width = 277
        }""",
        placer.number,
    )
    editor.settle(20)
    panel = editor.page.locator("[data-testid=properties-panel]")
    rows = panel.inner_text() if panel.count() else ""
    editor.show_side_panel(False)
    assert placer.evaluate("return element.clientWidth") == width
    assert "placements" not in rows


def test_promoted_to_a_subgraph(editor: EditorPage, shots: Path):
    inner = editor.placer(THREE)
    editor.page.evaluate(
        """async (id) => {
          const { canvas } = editorTest.app
          const { node: host } = canvas.graph.convertToSubgraph(
            new Set([canvas.graph.getNodeById(id)]))
          const [placer] = host.subgraph.nodes
          const input = host.subgraph.addInput('placements', 'STRING')
          input.connect(placer.inputs[placer.findInputSlot('placements')], placer)
          host.pos = [420, 120]
          host.setSize([360, 560])
          canvas.emitBeforeChange()
          canvas.emitAfterChange()
          canvas.setDirty(true, true)
          editorTest.element = () => [...document.querySelectorAll('.idpatch-placer')]
            .find((one) => one.querySelector('canvas').clientWidth)
          editorTest.promoted = () => host.widgets[0].value
        }""",
        inner.number,
    )
    editor.settle(20)
    editor.page.mouse.move(1200, 700)
    inner.wait()
    inner.drag((500, 420), (560, 800))
    editor.shot(shots / "promoted.png")
    text = editor.page.evaluate("() => editorTest.promoted()")
    assert near(json_points(text)[1], (560, 800), inner.pixel())
    assert json_points(text)[0] == (200, 300)
    prompt = editor.page.evaluate("async () => (await editorTest.app.graphToPrompt()).output")
    [node] = prompt.values()
    assert node["inputs"]["placements"] == text
    saved = editor.graph()
    editor.page.evaluate(HELP)
    editor.clear()
    editor.open_graph(saved)
    prompt = editor.page.evaluate("async () => (await editorTest.app.graphToPrompt()).output")
    [node] = prompt.values()
    assert node["inputs"]["placements"] == text


MALFORMED = [
    '[{"x": 1,',
    '{"version": 99, "people": []}',
    '[{"x": NaN, "y": 2}]',
    '[{"x": 1e308, "y": 2}]',
    '[{"x": "left", "y": 2}]',
    '{"people": 7}',
]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_text_is_kept_until_reset(editor: EditorPage, shots: Path, text: str):
    placer = editor.placer(text)
    [message] = [one for one in placer.messages() if "place" in one or "Person 1" in one]
    assert message
    point = placer.on_page(512, 358)
    editor.page.mouse.move(*point)
    editor.page.mouse.down()
    editor.page.mouse.move(point.x + 50, point.y + 50)
    editor.page.mouse.up()
    placer.press("ArrowLeft", "Delete")
    assert placer.text == text
    assert editor.graph()["nodes"][0]["widgets_values"][2] == text
    editor.shot(shots / "malformed.png", placer)
    placer.act("reset")
    assert placer.text == ""
    placer.act("undo")
    assert placer.text == text


def test_text_can_be_edited_by_hand(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.act("text")
    area = editor.page.locator(".idpatch-text")
    area.fill('[{"x": 10, "y": 20}]')
    area.blur()
    editor.settle()
    assert placer.points == [(10, 20)]
    assert placer.people() == ["1 Person 1, 10, 20"]


def test_shortcuts_in_the_text_are_for_the_graph(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.act("text")
    editor.page.evaluate(
        "() => { editorTest.app.queuePrompt = () => { editorTest.queued = true } }"
    )
    keyboard = editor.page.keyboard
    editor.page.locator(".idpatch-text").press("Control+a")
    keyboard.insert_text('[{"x": 10, "y": 20}]')
    keyboard.press("Control+a")
    assert placer.text == THREE
    keyboard.press("Control+Enter")
    editor.settle()
    assert editor.page.evaluate("() => delete editorTest.app.queuePrompt && editorTest.queued")
    assert placer.points == [(10, 20)]


def test_a_connected_text_cannot_be_edited(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.act("text")
    text = editor.add("PrimitiveStringMultiline", 20, 600)
    editor.connect(text, "STRING", placer.number, "placements")
    # Nodes 2.0 takes the editor of a connected input off the page.
    assert placer.evaluate("return element.querySelector('textarea').readOnly")
    assert "The placements come from the connected input." in placer.messages()


def test_arrange_and_swap(editor: EditorPage):
    placer = editor.placer(THREE)
    placer.act("two_rows")
    rows = [point[1] for point in placer.points if point]
    assert rows[0] == rows[1] < rows[2]
    placer.act("arc")
    ys = [point[1] for point in placer.points if point]
    assert ys[0] == ys[2] > ys[1]
    placer.text = THREE
    placer.click(200, 300)
    placer.act("swap")
    placer.click(800, 300)
    assert placer.points == [(800, 300), (500, 420), (200, 300)]
    placer.act("left_to_right")
    assert placer.points == [(200, 300), (500, 420), (800, 300)]


def test_warnings_where_they_happen(editor: EditorPage, shots: Path):
    placer = editor.placer('[{"x": 400, "y": 300}, {"x": 440, "y": 320}, {"x": 3000, "y": 30}]')
    assert placer.messages() == ["Person 3 is outside the image and gets no patch."]
    editor.shot(shots / "warnings.png", placer)
    placer.act("inside")
    assert placer.points[2] == (1023, 30)
    assert placer.messages() == []


def test_nothing_is_left_when_the_node_is_removed(editor: EditorPage):
    empty = editor.watched()
    placers = [editor.placer(THREE), editor.placer(THREE, x=20)]
    placers[0].drag((200, 300), (300, 300))
    assert editor.watched() > empty
    for placer in placers:
        editor.page.evaluate(
            "(id) => { const { graph } = editorTest.app.canvas;"
            " graph.remove(graph.getNodeById(id)) }",
            placer.number,
        )
    editor.settle()
    assert editor.watched() == empty
    assert editor.page.evaluate("() => document.querySelectorAll('.idpatch-placer').length") == 0


def test_no_work_while_nothing_changes(editor: EditorPage):
    editor.placer(THREE)
    editor.settle(20)
    before = editor.page.evaluate("() => idpatchWatch.frames")
    editor.page.wait_for_timeout(1200)
    assert editor.page.evaluate("() => idpatchWatch.frames") == before


def test_names_for_screen_readers(editor: EditorPage):
    placer: Placer = editor.placer(THREE)
    tree = editor.page.locator(".idpatch-placer").aria_snapshot()
    assert 'toolbar "Placing"' in tree
    assert 'button "Undo"' in tree
    assert 'button "2 Person 2, 500, 420"' in tree
    placer.click(200, 300)
    placer.press("ArrowRight")
    spoken = editor.page.locator(".idpatch-announcement").text_content()
    assert spoken == "1, Person 1, at 201, 300"


def test_sockets_have_a_colour_for_each_type(editor: EditorPage):
    canvas, style = editor.page.evaluate(
        """async () => {
          const { app } = editorTest
          const { setting } = app.extensionManager
          for (const name of ['light', 'dark']) await setting.set('Comfy.ColorPalette', name)
          const style = getComputedStyle(document.documentElement)
          const types = ['FACE_MODEL', 'IDENTITIES', 'MODEL', 'PATCHES', 'HINT', 'SCORER']
            .map((type) => `IDPATCH_${type}`).concat('POSE_KEYPOINT')
          return [
            types.map((type) => app.canvas.default_connection_color_byType[type]),
            types.map((type) => style.getPropertyValue(`--color-datatype-${type}`).trim())
          ]
        }"""
    )
    assert canvas == style
    assert len(set(canvas)) == 7 and all(canvas)


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_ten_people_at_300_pixels(editor: EditorPage, shots: Path, palette: str):
    editor.page.evaluate(
        "(name) => editorTest.app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette
    )
    people = [{"x": 110 + 90 * index, "y": 300 + 130 * (index % 3)} for index in range(10)]
    people[6]["placed"] = False
    placer = editor.placer(json.dumps(people))
    editor.page.evaluate(
        "(id) => { const node = editorTest.app.canvas.graph.getNodeById(id);"
        " node.setSize([300, node.size[1]]); node.setDirtyCanvas(true, true) }",
        placer.number,
    )
    editor.settle()
    placer.click(110, 300)
    editor.page.wait_for_timeout(300)
    editor.shot(shots / f"ten_people_{palette}.png", placer)
    editor.page.evaluate(
        "() => editorTest.app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')"
    )
    chips = editor.page.locator(".idpatch-person")
    assert chips.count() == 10
    box = editor.page.locator(".idpatch-placer").bounding_box()
    for part in (".idpatch-toolbar", ".idpatch-stage", ".idpatch-people"):
        inner = editor.page.locator(part).bounding_box()
        assert box and inner
        assert inner["x"] >= box["x"] - 1
        assert inner["x"] + inner["width"] <= box["x"] + box["width"] + 1
        assert inner["y"] + inner["height"] <= box["y"] + box["height"] + 1
