"""Several people selected in the Patch Placer's editor: moved, aligned and changed together."""

import json
from pathlib import Path

from editor_page import EditorPage, Placer, near

from idpatch_core.bodies import make_body

BODY = [joint and [round(joint.x, 2), round(joint.y, 2)] for joint in make_body("walking", 400)]
THREE = json.dumps([{"x": 200, "y": 300}, {"x": 500, "y": 420}, {"x": 800, "y": 300}])
WITH_BODIES = json.dumps([{**one, "body": BODY} for one in json.loads(THREE)])


def add(placer: Placer, x: float, y: float, key: str = "Shift") -> None:
    keyboard = placer.page.keyboard
    keyboard.down(key)
    placer.click(x, y)
    keyboard.up(key)


def selected(placer: Placer) -> list[bool]:
    """Who is selected, as a screen reader hears it from the list of people."""
    return placer.evaluate(
        "return [...element.querySelectorAll('.idpatch-person')]"
        ".map((chip) => chip.getAttribute('aria-pressed') === 'true')"
    )


def bodies(placer: Placer) -> list:
    return [one["body"] for one in json.loads(placer.text)["people"]]


def offers(placer: Placer, action: str) -> bool:
    return placer.evaluate(
        "return element.querySelector(`[data-action='${args[0]}']`).offsetParent !== null", action
    )


def test_several_people_are_selected_and_go_together(editor: EditorPage, shots: Path):
    placer = editor.placer(WITH_BODIES)
    before = placer.position()
    add(placer, 200, 300)
    assert selected(placer) == [True, False, False]
    assert not offers(placer, "same_height")
    add(placer, 800, 300, "Control")
    assert selected(placer) == [True, False, True]
    assert offers(placer, "same_height") and not placer.enabled("even_spacing")
    assert placer.text == WITH_BODIES

    # Alt, because the two would come in line with the third.
    placer.page.keyboard.down("Alt")
    placer.drag((200, 300), (230, 360))
    placer.page.keyboard.up("Alt")
    first, second, third = placer.points
    assert near(first, (230, 360), placer.pixel()) and second == (500, 420)
    assert first and third and (third[0] - first[0], third[1] - first[1]) == (600, 0)
    assert bodies(placer) == [BODY] * 3
    assert selected(placer) == [True, False, True]
    editor.shot(shots / "moved_together.png", placer)
    heights = [
        placer.page.locator(part).first.evaluate("(one) => one.getBoundingClientRect().top")
        for part in (".idpatch-settings .idpatch-menu", ".idpatch-number")
    ]
    assert abs(heights[0] - heights[1]) < 5  # in one row
    right = "return element.querySelector(args[0]).getBoundingClientRect().right"
    assert placer.evaluate(right, ".idpatch-number") <= sum(placer.node_box()[0:3:2])
    dragged = placer.points

    placer.press("Shift+ArrowDown", "m", "Delete")
    assert placer.points == [None, (500, 420), None]
    placer.act("undo")
    mirrored, other, last = bodies(placer)
    assert mirrored == last != BODY and other == BODY
    placer.act("undo")
    moved = [(first[0], first[1] + 10), (500, 420), (third[0], third[1] + 10)]
    assert placer.points == moved
    placer.act("undo")
    assert placer.points == dragged
    placer.act("undo")
    assert placer.text == WITH_BODIES

    assert placer.position() == before
    add(placer, 800, 300)
    assert selected(placer) == [True, False, False]
    placer.click(500, 420)
    assert selected(placer) == [False, True, False]
    assert editor.page.evaluate("() => editorTest.app.canvas.graph.nodes.length") == 1
    assert editor.complaints() == []


def test_all_are_selected_aligned_and_spaced(editor: EditorPage):
    placer = editor.placer(json.dumps([*json.loads(THREE), {"x": 560, "y": 700}]))
    placer.click(500, 420)
    placer.press("Control+a")
    assert selected(placer) == [True] * 4
    placer.act("same_height")
    assert placer.points == [(200, 420), (500, 420), (800, 420), (560, 420)]
    placer.act("even_spacing")
    assert placer.points == [(200, 420), (400, 420), (800, 420), (600, 420)]
    placer.act("undo")
    placer.act("undo")
    assert placer.points == [(200, 300), (500, 420), (800, 300), (560, 700)]
    assert selected(placer) == [True] * 4
    placer.click(800, 300)
    assert selected(placer) == [False, False, True, False]


def test_the_list_of_people_selects_several_and_settings_are_of_all(editor: EditorPage):
    placer = editor.placer(WITH_BODIES)
    chips = editor.page.locator(".idpatch-person")
    chips.nth(0).click()
    chips.nth(1).focus()
    placer.press("Shift+Enter")
    assert selected(placer) == [True, True, False]
    assert chips.nth(1).evaluate("(chip) => chip === document.activeElement")
    strength = editor.page.locator(".idpatch-number")
    strength.fill("0.5")
    strength.press("Tab")
    people = json.loads(placer.text)["people"]
    assert [one.get("patch_strength", 1) for one in people] == [0.5, 0.5, 1]
