"""The Patch Placer's editor at full size, and its menu of image sizes."""

import json
from pathlib import Path

from editor_page import EditorPage, Placer, near

TWO = json.dumps([{"x": 300, "y": 300}, {"x": 700, "y": 300}])


def dialogs(editor: EditorPage) -> int:
    return editor.page.locator("dialog.idpatch-popout").count()


def in_the_node(placer: Placer) -> bool:
    return placer.evaluate("return element.isConnected && !element.closest('dialog')")


def test_the_editor_at_full_size(editor: EditorPage, shots: Path):
    placer = editor.placer(TWO, bodies="standing")
    width = placer.evaluate("return element.clientWidth")
    placer.act("pop_out")
    editor.settle(10)
    assert placer.evaluate("return element.clientWidth") > 2 * width
    assert placer.pixel() < 1.6
    placer.drag((300, 300), (400, 400))
    assert near(placer.points[0], (400, 400), placer.pixel())
    editor.shot(shots / "popped_out.png")
    placer.press("Escape", "Escape")
    editor.settle(10)
    assert dialogs(editor) == 0 and in_the_node(placer)
    assert placer.evaluate("return element.clientWidth") == width
    placer.drag((700, 300), (600, 560))
    assert near(placer.points[1], (600, 560), placer.pixel())


def test_nothing_is_left_of_an_open_editor_when_the_node_is_removed(editor: EditorPage):
    placer = editor.placer(TWO)
    placer.act("pop_out")
    editor.page.evaluate(
        "(id) => { const { graph } = editorTest.app.canvas; graph.remove(graph.getNodeById(id)) }",
        placer.number,
    )
    editor.settle()
    assert dialogs(editor) == 0
    assert editor.page.locator(".idpatch-placer").count() == 0


def test_a_size_is_chosen_for_image_pose_and_placements_at_once(editor: EditorPage):
    placer = editor.placer(TWO)
    pose = editor.add("IDPatchLoadPose", 20, 600, pose="standing_2")
    editor.connect(pose, "pose_keypoint", placer.number, "pose_keypoint")
    editor.page.get_by_label("Image size").select_option(index=1)
    editor.settle(10)
    assert placer.size() == (1152, 896)
    size = editor.page.evaluate(
        "(id) => ['width', 'height'].map((name) => editorTest.widget(id, name).value)", pose
    )
    assert size == [1152, 896]
    assert placer.points == [(337.5, 262.5), (787.5, 262.5)]
    assert placer.messages() == []


def test_a_person_is_dragged_in_line_with_another(editor: EditorPage, shots: Path):
    placer = editor.placer(TWO)
    start, end = placer.on_page(300, 300), placer.on_page(450, 310)
    mouse = editor.page.mouse
    mouse.move(*start)
    mouse.down()
    mouse.move(*end, steps=4)
    editor.settle()
    editor.shot(shots / "in_line.png", placer)
    mouse.up()
    editor.settle()
    point = placer.points[0]
    assert near(point, (450, 300), placer.pixel()) and point and point[1] == 300
    placer.act("snap")
    placer.drag((450, 300), (450, 310))
    assert placer.points[0] is not None and placer.points[0][1] != 300
