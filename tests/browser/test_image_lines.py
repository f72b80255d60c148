"""People who are dragged in the Patch Placer snap to the centre and the thirds of the image."""

import json

from editor_page import EditorPage, Placer, near

ONE = json.dumps([{"x": 200, "y": 200}])
# How many pixels of the stage have the colour of guides.
GUIDES = """
const canvas = element.querySelector('canvas')
const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
let count = 0
for (let i = 0; i < data.length; i += 4) {
  if (data[i] > 200 && data[i + 1] < 130 && data[i + 2] > 150) count += 1
}
return count
"""


def drag_slowly(placer: Placer, end: tuple[float, float]) -> int:
    """Drag the first person; return how many pixels of guides there were before the end."""
    mouse = placer.page.mouse
    assert placer.points[0]
    mouse.move(*placer.on_page(*placer.points[0]))
    mouse.down()
    mouse.move(*placer.on_page(*end), steps=4)
    placer.editor.settle()
    seen = placer.evaluate(GUIDES)
    mouse.up()
    placer.editor.settle()
    return seen


def test_a_person_snaps_to_the_lines_of_the_image(editor: EditorPage):
    placer = editor.placer(ONE)
    side = placer.on_page(1024, 0).x - placer.on_page(0, 0).x
    assert drag_slowly(placer, (600, 600)) == 0
    assert near(placer.points[0], (600, 600), placer.pixel())
    assert drag_slowly(placer, (505, 600)) > 0.7 * side
    assert placer.points[0] and placer.points[0][0] == 512
    assert drag_slowly(placer, (690, 333)) > 1.4 * side
    assert placer.points[0] == (683, 341)
    placer.page.keyboard.down("Alt")
    drag_slowly(placer, (700, 520))
    placer.page.keyboard.up("Alt")
    assert placer.points[0] and placer.points[0] != (683, 512)
    placer.act("snap")
    drag_slowly(placer, (345, 505))
    assert placer.points[0] != (341, 512)
