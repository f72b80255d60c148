"""People in the Patch Placer's editor belong to their names, not to positions in a list."""

import json
from pathlib import Path

from editor_page import EditorPage, Placer

PHOTOS = ["obama.jpg", "collins.jpg", "sunak.jpg"]
PLACES = {"obama": (200, 300), "collins": (500, 420), "sunak": (800, 310)}


def three_people(editor: EditorPage) -> tuple[Placer, list[int], int]:
    """Three people who were placed by hand, their encoders and the ID Patch Builder."""
    people = [{"x": x, "y": y, "name": name} for name, (x, y) in PLACES.items()]
    text = json.dumps({"version": 1, "width": 1024, "height": 1024, "people": people})
    placer = editor.group(PHOTOS, text=text)
    encoders, builders = editor.page.evaluate(
        "() => ['IDPatchFaceEncoder', 'IDPatchBuilder'].map((kind) =>"
        " editorTest.app.canvas.graph.nodes.filter(({ type }) => type === kind)"
        ".map(({ id }) => id))"
    )
    return placer, encoders, builders[0]


def places(placer: Placer) -> dict[str, tuple[float, float]]:
    """Where the editor shows each person, by name."""
    shown = [chip.split(" ", 1)[1].split(", ") for chip in placer.people()]
    return {one[0]: (float(one[-2]), float(one[-1])) for one in shown if len(one) >= 3}


def reports(editor: EditorPage, placer: Placer) -> dict[str, tuple[float, float]]:
    """Where a run places each person."""
    [report] = editor.run()[str(placer.number)]["idpatch_placer"]
    return {one["name"]: (one["x"], one["y"]) for one in report["people"]}


def test_a_person_who_is_removed_takes_no_one_along(editor: EditorPage, shots: Path):
    placer, encoders, _ = three_people(editor)
    editor.connect(encoders[0], "identities", encoders[2], "identities")
    editor.page.mouse.click(1000, 800)
    editor.settle()
    kept = {name: PLACES[name] for name in ("obama", "sunak")}
    assert {name: places(placer)[name] for name in kept} == kept
    assert "collins is gone." in placer.messages()
    editor.shot(shots / "person_gone.png", placer)
    assert reports(editor, placer) == kept
    placer.act("trim")
    assert [one["name"] for one in json.loads(placer.text)["people"]] == ["obama", "sunak"]
    assert reports(editor, placer) == kept


def test_people_who_are_reordered_stay(editor: EditorPage):
    placer, encoders, builder = three_people(editor)
    first, second, third = encoders
    editor.disconnect(second, "identities")
    editor.disconnect(third, "identities")
    editor.connect(third, "identities", second, "identities")
    editor.connect(second, "identities", first, "identities")
    editor.connect(first, "identities", builder, "identities")
    editor.page.mouse.click(1000, 800)
    editor.settle()
    assert list(places(placer)) == ["sunak", "collins", "obama"]
    assert places(placer) == PLACES
    assert reports(editor, placer) == PLACES


def test_a_person_who_is_renamed_stays(editor: EditorPage):
    placer, encoders, _ = three_people(editor)
    editor.page.evaluate("(id) => { editorTest.widget(id, 'name').value = 'Susan' }", encoders[1])
    editor.page.mouse.click(1000, 800)
    editor.settle()
    renamed = {"Susan" if name == "collins" else name: at for name, at in PLACES.items()}
    assert places(placer) == renamed
    assert reports(editor, placer) == renamed


def test_a_new_person_is_placed_and_breaks_no_run(editor: EditorPage, shots: Path):
    placer, encoders, builder = three_people(editor)
    faces = editor.page.evaluate(
        "() => editorTest.app.canvas.graph.nodes"
        ".find(({ type }) => type === 'IDPatchLoadFaceModel').id"
    )
    new = editor.encoder(faces, encoders[2], "ardern_2022.jpg", 1100)
    editor.connect(new, "identities", builder, "identities")
    editor.page.mouse.click(1000, 800)
    editor.settle()
    shown = places(placer)
    assert {name: shown[name] for name in PLACES} == PLACES
    x, y = shown["ardern_2022"]
    assert all(max(abs(x - a), abs(y - b)) >= 128 for a, b in PLACES.values())
    assert "ardern_2022 is new and was placed automatically." in placer.messages()
    editor.shot(shots / "person_new.png", placer)
    ran = reports(editor, placer)
    assert {name: (round(x), round(y)) for name, (x, y) in ran.items()} == shown
