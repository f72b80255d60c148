"""The check of the images is readable on its nodes."""

from pathlib import Path
from typing import Any

from editor_page import EditorPage

SHOW = """([id, output]) => {
  const { app } = editorTest
  const node = app.canvas.graph.getNodeById(id)
  app.nodeOutputs[String(id)] = output
  node.onExecuted(output)
}"""
WARNING = "scored by arcface.pth, the conditioning model, so the scores are biased upwards."


def photo(name: str) -> dict[str, str]:
    return {"filename": f"{name}.jpg", "subfolder": "", "type": "input"}


def person(name: str, face: str | None, similarity: float | None, verdict: str) -> dict[str, Any]:
    return {
        "name": name,
        "similarity": similarity,
        "correct": verdict == "correct",
        "verdict": verdict,
        "reference": photo(name),
        "face": face and photo(face),
    }


VERDICTS = {
    "idpatch_verdicts": [
        {
            "scorer": "sface",
            "images": [
                {
                    "all_correct": False,
                    "people": [
                        person("obama", "obama", 0.7123, "correct"),
                        person("collins", "sunak", 0.104, "resembles sunak"),
                        person("sunak", None, None, "no face"),
                    ],
                },
                {"all_correct": True, "people": [person("obama", "obama", 0.5, "correct")]},
            ],
        }
    ],
    "idpatch_warnings": [WARNING],
}


def show(editor: EditorPage, node: int, output: dict[str, Any]) -> Any:
    editor.page.evaluate(SHOW, [node, output])
    editor.settle(12)
    return editor.page.locator(".idpatch-faces").last


def is_inside(editor: EditorPage, node: int, element: Any) -> bool:
    box = element.locator(".idpatch-inner").bounding_box()
    return box["y"] + box["height"] < editor.bottom_of(node)


def test_each_person_is_shown_beside_their_reference(editor: EditorPage, shots: Path):
    node = editor.add("IDPatchVerify", 300, 60)
    shown = show(editor, node, VERDICTS)
    text = shown.inner_text()
    assert "Image 1: 1 of 3 at their placement" in text
    assert "Image 2: 1 of 1 at their placement" in text
    cards = [card.inner_text().split() for card in shown.get_by_role("listitem").all()]
    assert cards == [
        ["✓", "obama", "0.71"],
        ["✗", "collins", "0.10", "resembles", "sunak"],
        ["?", "✗", "sunak", "no", "face"],
        ["✓", "obama", "0.50"],
    ]
    editor.page.wait_for_function(
        "() => [...document.querySelectorAll('img.idpatch-crop')].every((one) => one.naturalWidth)"
    )
    images = shown.locator("img").evaluate_all("(all) => all.map((one) => one.alt)")
    assert images[:3] == ["Photo of obama", "Face found for obama", "Photo of collins"]
    assert WARNING in text and "Similarity by sface" in text
    assert is_inside(editor, node, shown)
    editor.shot(shots / "findings.png")
    saved = editor.graph()
    assert "idpatch_verdicts" not in str(saved)
    assert show(editor, node, {}).is_hidden()


def test_pick_best_says_which_image_and_why(editor: EditorPage):
    node = editor.add("IDPatchPickBest", 300, 90)
    reasons = ["Image 1: no face of Ben was found.", "Image 2: the least similar person is Ada."]
    shown = show(editor, node, {"idpatch_best": [{"index": 1, "reasons": reasons}]})
    lines = [line for line in shown.inner_text().split("\n") if line]
    assert lines == [
        "Image 2 of 2 was kept: its least similar person scores highest.",
        *reasons,
    ]
    assert shown.locator(".idpatch-correct").inner_text() == reasons[1]
    assert is_inside(editor, node, shown)


def test_the_tries_at_an_image_are_shown(editor: EditorPage):
    node = editor.add("IDPatchUntilRight", 300, 90)
    tries = ["Image 1, seed 7: Ben: no face", "Image 2, seed 8: right"]
    image = {"outcome": "Each person is right after 2 images of at most 4.", "tries": tries}
    output = {"idpatch_tries": [{**image, "best": 1}], "idpatch_warnings": [WARNING]}
    shown = show(editor, node, output)
    lines = [line for line in shown.inner_text().split("\n") if line]
    assert lines == [image["outcome"], *tries, WARNING]
    assert shown.locator(".idpatch-correct").inner_text() == tries[1]
    assert is_inside(editor, node, shown)


def test_the_saved_report_is_a_link(editor: EditorPage):
    node = editor.add("IDPatchSaveReport", 300, 90)
    file = {"filename": "obama.jpg", "subfolder": "", "type": "input"}
    shown = show(editor, node, {"idpatch_report": [file]})
    link = shown.get_by_role("link", name="obama.jpg")
    answer = editor.page.request.get(f"{editor.url}{link.get_attribute('href')}")
    assert answer.ok and answer.headers["content-type"] == "image/jpeg"
    assert link.get_attribute("target") == "_blank"
    assert is_inside(editor, node, shown)
