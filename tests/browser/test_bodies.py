"""Bodies in the Patch Placer's editor: they follow their people and can be changed."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from editor_page import EditorPage, Placer, near

from idpatch_core.bodies import choose_people, make_body
from idpatch_core.placements import read_placements
from idpatch_core.poses import make_standing
from idpatch_core.skeleton import Joint, draw_openpose, find_heads

NAMES = ["obama", "collins"]
SIDE = 1024
WRIST, ANKLE = Joint.R_WRIST, Joint.R_ANKLE


class XY(NamedTuple):
    x: float
    y: float


def two_people(editor: EditorPage, pose: str | None = "standing_2", **values: str) -> Placer:
    placer = editor.group([f"{name}.jpg" for name in NAMES], **values)
    if pose:
        source = editor.add("IDPatchLoadPose", 20, 600, pose=pose)
        editor.connect(source, "pose_keypoint", placer.number, "pose_keypoint")
    return placer


def noses() -> list[XY]:
    heads, _ = find_heads(make_standing(2, SIDE, SIDE))
    return [XY(*head.point) for head in heads]


def joints_of(placer: Placer, person: int = 0) -> list[XY | None]:
    """The joints of a person's own body in the text, in pixels of the image."""
    data = json.loads(placer.text)
    stored = (data if isinstance(data, list) else data["people"])[person]
    return [
        joint and XY(stored["x"] + joint[0], stored["y"] + joint[1]) for joint in stored["body"]
    ]


def joint_of(placer: Placer, joint: int, person: int = 0) -> XY:
    found = joints_of(placer, person)[joint]
    assert found is not None
    return found


def drawn_by_the_node(placer: Placer, poses: np.ndarray | None = None) -> np.ndarray:
    """The people (N, 18, 3) that the node draws for the text of the editor."""
    placements, warnings = read_placements(placer.text, NAMES, SIDE, SIDE)
    assert warnings == []
    poses = make_standing(2, SIDE, SIDE) if poses is None else poses
    return choose_people(placements, poses, None, SIDE, 64)


def drag_on_page(editor: EditorPage, start: tuple[float, float], end: tuple[float, float]) -> None:
    mouse = editor.page.mouse
    mouse.move(*start)
    mouse.down()
    mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    mouse.move(*end, steps=3)
    mouse.up()
    editor.settle()


def with_own_body(editor: EditorPage) -> Placer:
    """Two people, of whom the first has a standing body of 400 pixels at 400, 300."""
    body = [joint and [joint.x, joint.y] for joint in make_body("standing", 400)]
    people = [{"x": 400, "y": 300, "body": body}, {"x": 800, "y": 300, "body": body}]
    placer = two_people(editor, None, text=json.dumps(people))
    placer.click(400, 300)
    return placer


def handle(placer: Placer, side: str) -> tuple[float, float]:
    """Where a handle below the frame of the first person's body is on the page."""
    seen = [joint for joint in joints_of(placer) if joint]
    x = max(joint.x for joint in seen) if side == "right" else min(joint.x for joint in seen)
    point = placer.on_page(x, max(joint.y for joint in seen))
    return point.x + (10 if side == "right" else -10), point.y + 10


def test_a_person_who_is_dragged_before_a_run_takes_the_skeleton_along(editor: EditorPage):
    placer = two_people(editor)
    [first, second] = noses()
    placer.drag(first, (first.x - 60, first.y + 200))
    moved, other = drawn_by_the_node(placer)
    poses = make_standing(2, SIDE, SIDE)
    assert near(moved[Joint.NOSE, :2], placer.points[0] or (0, 0), 0.5)
    shift = moved[Joint.NOSE, :2] - first
    assert np.allclose(moved[:, :2], poses[0, :, :2] + shift, atol=0.02)
    assert np.array_equal(other, poses[1])
    assert placer.messages() == []
    assert near(placer.points[1], second, 0.01)


def test_what_runs_is_what_was_dragged(editor: EditorPage):
    """The hint has the face on the head of its own skeleton; nothing is warned of."""
    placer = two_people(editor)
    [first, _] = noses()
    placer.drag(first, (first.x + 100, first.y + 150))
    written = placer.text
    [report] = editor.run()[str(placer.number)]["idpatch_placer"]
    assert report["warnings"] == []
    assert [(one["x"], one["y"]) for one in report["people"]] == placer.points
    assert placer.text == written
    assert placer.messages() == []


def test_a_person_who_is_put_back_on_a_pose_has_its_skeleton(editor: EditorPage):
    placer = two_people(editor)
    [first, _] = noses()
    placer.drag(first, (first.x + 100, first.y + 300))
    assert joints_of(placer)
    placer.drag((first.x + 100, first.y + 300), (first.x + 6, first.y - 5))
    assert "body" not in json.loads(placer.text)["people"][0]
    assert np.array_equal(drawn_by_the_node(placer), make_standing(2, SIDE, SIDE))


def test_the_page_draws_skeletons_as_the_node_does(editor: EditorPage):
    placer = with_own_body(editor)
    people = drawn_by_the_node(placer)
    seen = [[{"x": x, "y": y} if score else None for x, y, score in one] for one in people.tolist()]
    layers = editor.page.evaluate(
        """async ([people, side]) => {
          const { SkeletonLayers } = await import(
            '/extensions/ComfyUI-ID-Patch/placer/skeleton_layers.js')
          return new SkeletonLayers().draw(people, side, side).map(({ canvas, left, top }) => {
            const { data, width, height } = canvas.getContext('2d')
              .getImageData(0, 0, canvas.width, canvas.height)
            return [[...data], left, top, width, height]
          })
        }""",
        [seen, SIDE],
    )
    drawn = np.zeros((SIDE, SIDE, 3), np.uint8)
    for data, left, top, width, height in layers:
        rgba = np.array(data, np.uint8).reshape(height, width, 4)
        drawn[top : top + height, left : left + width] += rgba[..., :3] * (rgba[..., 3:] > 0)
    expected = draw_openpose(people, SIDE, SIDE)
    assert (drawn == expected).all(axis=-1).mean() > 0.999
    assert expected.any(axis=-1).sum() > 5000


def test_handles_scale_mirror_and_bend_a_body(editor: EditorPage, shots: Path):
    placer = with_own_body(editor)
    editor.shot(shots / "body_handles.png", placer)
    start = placer.text
    before = joint_of(placer, ANKLE)
    face, at = placer.on_page(400, 300), handle(placer, "right")
    drag_on_page(editor, at, (face.x + 1.5 * (at[0] - face.x), face.y + 1.5 * (at[1] - face.y)))
    ankle = joint_of(placer, ANKLE)
    assert near(ankle, (400 + 1.5 * (before.x - 400), 300 + 1.5 * (before.y - 300)), 6)
    assert placer.points[0] == (400, 300)
    placer.act("undo")
    assert placer.text == start

    wrist = joint_of(placer, WRIST)
    drag_on_page(editor, placer.on_page(*wrist), placer.on_page(250, 200))
    assert near(joint_of(placer, WRIST), (250, 200), placer.pixel() + 1)
    assert near(joint_of(placer, ANKLE), before, 0.02)
    editor.page.mouse.click(*handle(placer, "left"))
    editor.settle()
    assert near(joint_of(placer, Joint.L_WRIST), (550, 200), placer.pixel() + 1)
    placer.act("undo")
    placer.act("undo")
    assert placer.text == start


def test_keys_scale_and_mirror_a_body(editor: EditorPage):
    placer = with_own_body(editor)
    start = placer.text
    before = joint_of(placer, ANKLE)
    placer.press("+", "+")
    assert near(joint_of(placer, ANKLE), (joint_of(placer, ANKLE).x, 300 + 346 * 1.05**2), 0.1)
    placer.press("-", "-")
    assert near(joint_of(placer, ANKLE), before, 0.1)
    placer.press("m")
    assert near(joint_of(placer, Joint.L_ANKLE), (800 - before.x, before.y), 0.1)
    for _ in range(5):
        placer.act("undo")
    assert placer.text == start


def test_a_person_without_a_body_is_given_one_from_the_menu(editor: EditorPage, shots: Path):
    placer = two_people(editor, None)
    assert placer.messages()[0].startswith("The image has no skeleton")
    placer.click(256, 358)
    menu = editor.page.get_by_label("Body", exact=True)
    assert menu.evaluate("(one) => one.selectedOptions[0].textContent") == "No body"
    menu.select_option("sitting")
    editor.settle()
    (person,) = drawn_by_the_node(placer, np.zeros((0, 18, 3)))
    expected = make_body("sitting", 1)
    assert near(person[Joint.NOSE, :2], (256, 358), 0.5)
    knee, hip = expected[Joint.R_KNEE], expected[Joint.R_HIP]
    assert knee and hip
    ratio = (person[Joint.R_KNEE, 1] - 358) / (person[Joint.R_HIP, 1] - 358)
    assert abs(ratio - knee.y / hip.y) < 0.01
    editor.shot(shots / "body_menu.png", placer)
    assert placer.messages()[0] == "collins has no body."
    placer.act("give_bodies")
    assert len(drawn_by_the_node(placer, np.zeros((0, 18, 3)))) == 2
    placer.act("undo")
    placer.act("undo")
    assert placer.text == ""


def test_poses_without_a_person_are_left_out(editor: EditorPage, shots: Path):
    placer = two_people(editor, "standing_3")
    [spare] = [text for text in placer.messages() if "without a person" in text]
    assert spare.startswith("1 pose without a person is drawn")
    editor.shot(shots / "spare_pose.png", placer)
    placer.act("keep_bodies")
    assert len(drawn_by_the_node(placer, make_standing(3, SIDE, SIDE))) == 2
    assert not [text for text in placer.messages() if "without a person" in text]
    [report] = editor.run()[str(placer.number)]["idpatch_placer"]
    assert report["warnings"] == []
    placer.act("undo")
    assert placer.text == ""


def test_the_node_draws_bodies_of_a_kind(editor: EditorPage):
    placer = two_people(editor, None)
    placer.act("standing_bodies")
    assert placer.value("bodies") == "standing"
    assert placer.text == ""
    assert placer.messages() == ["Placed automatically. Drag a person to place by hand."]
    [report] = editor.run()[str(placer.number)]["idpatch_placer"]
    assert report["warnings"] == []


def test_the_patch_strength_of_a_person(editor: EditorPage):
    placer = with_own_body(editor)
    start = placer.text
    number = editor.page.locator(".idpatch-number")
    number.fill("0.7")
    number.press("Enter")
    editor.settle()
    people = json.loads(placer.text)["people"]
    assert [one.get("patch_strength") for one in people] == [0.7, None]
    placer.act("undo")
    assert placer.text == start
    assert number.input_value() == "1"


def test_a_person_off_the_canvas_has_no_body_and_gets_it_back(editor: EditorPage):
    placer = with_own_body(editor)
    placer.press("Delete")
    assert len(drawn_by_the_node(placer)) == 1
    assert editor.page.get_by_label("Settings of obama").is_hidden()
    placer.press("Enter")
    assert len(drawn_by_the_node(placer)) == 2


def test_a_photo_as_base_image_becomes_the_reference(editor: EditorPage, shots: Path):
    placer = two_people(editor, None, bodies="standing")
    photo = editor.add("LoadImage", 20, 600, image="obama.jpg")
    editor.connect(photo, "IMAGE", placer.number, "base_image")
    editor.page.wait_for_function(
        "() => document.querySelector('.idpatch-messages').textContent.includes('a photo')"
    )
    placer.act("use_reference")
    editor.settle(10)
    links = {
        one["name"]: one.get("link")
        for node in editor.graph()["nodes"]
        if node["type"] == "IDPatchPlacer"
        for one in node["inputs"]
    }
    assert links["base_image"] is None and links["reference_image"] is not None
    assert not any("photo" in message for message in placer.messages())
    editor.page.wait_for_timeout(300)
    editor.shot(shots / "reference.png", placer)
    [report] = editor.run()[str(placer.number)]["idpatch_placer"]
    assert report["warnings"] == []
    assert report["reference"]["filename"].startswith("idpatch_reference_")
    assert len(report["faces"]) == 1
