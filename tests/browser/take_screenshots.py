"""Takes the screenshots of the node help, in the newest frontend and with stand-in models.

    python tests/browser/take_screenshots.py

Writes web/docs/images. Needs what the browser tests need.
"""

import io
import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

import standins  # noqa: E402
from editor_page import CHROMIUM, FLAGS, EditorPage  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from idpatch_core.comfyui import environment  # noqa: E402
from idpatch_core.comfyui.server import comfyui_server  # noqa: E402

IMAGES = Path(__file__).parents[2] / "web" / "docs" / "images"
PEOPLE = {"Barack": "obama.jpg", "Eileen": "collins.jpg", "Jacinda": "ardern_2022.jpg"}
TITLE = 36  # page pixels above a node's position

BOXES = """
() => Object.fromEntries(editorTest.app.canvas.graph.nodes.map((node) => {
  const element = document.querySelector(`[data-node-id="${node.id}"]`)
  const { left, top, width, height } = element.getBoundingClientRect()
  return [node.id, [left, top, width, height]]
}))
"""


def main() -> None:
    """Take all screenshots, or those of the nodes named on the command line."""
    from conftest import add_photos, newest_frontend

    comfyui = environment.find_comfyui()
    if comfyui is None:
        sys.exit("No ComfyUI. Set COMFYUI_PATH, or run `python3 -m tests`.")
    IMAGES.mkdir(parents=True, exist_ok=True)
    here = environment.Environment(Path(sys.executable), comfyui)
    models = standins.standin_models(here)
    arguments = ("--front-end-root", str(newest_frontend()))
    with (
        comfyui_server(
            sys.executable, comfyui, models, packs=[standins.PACK], arguments=arguments
        ) as server,
        sync_playwright() as playwright,
    ):
        add_photos(server.base)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        editor = EditorPage(browser, server.url, vue=True, size=(1500, 1100), density=2)
        if len(sys.argv) == 1:
            take_placer(editor)
        take_others(editor, sys.argv[1:] or OTHERS)
        editor.close()
        browser.close()


def save(png: bytes, name: str, width: int) -> None:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    height = round(image.height * width / image.width)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    path = IMAGES / name
    if path.suffix == ".png":
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    else:
        image.save(path, quality=84, method=6)
    print(f"{path.name}: {image.size}, {path.stat().st_size // 1024} kB")


def take_placer(editor: EditorPage) -> None:
    """People on drawn poses: placed automatically, run, one moved by hand."""
    editor.clear()
    faces = editor.add("IDPatchLoadFaceModel", -900, 90)
    model = editor.add("IDPatchLoadModel", -900, 260)
    builder = editor.add("IDPatchBuilder", -500, 90)
    placer = editor.placer(x=640, y=120, width=1152, height=896)
    editor.connect(model, "idpatch_model", builder, "idpatch_model")
    editor.connect(builder, "id_patches", placer.number, "id_patches")
    before = None
    encoders = []
    for index, (name, photo) in enumerate(PEOPLE.items()):
        before = editor.encoder(faces, before, photo, 400 * index, name)
        encoders.append(before)
    editor.connect(encoders[-1], "identities", builder, "identities")
    pose = editor.add("IDPatchLoadPose", 100, 90, pose="standing_3", width=1152, height=896)
    editor.connect(pose, "pose_keypoint", placer.number, "pose_keypoint")
    editor.page.evaluate(
        "(id) => editorTest.app.canvas.graph.getNodeById(id).setSize([460, 640])", placer.number
    )
    editor.settle()
    editor.run()
    editor.page.wait_for_timeout(1500)
    save(clip(editor, placer.number), "IDPatchPlacer.webp", 560)
    points = [name.split(", ")[-2:] for name in placer.people()]
    x, y = (float(value) for value in points[2])
    placer.drag((x, y), (x - 40, y + 150))
    point = placer.on_page(x - 40, y + 150)
    editor.page.mouse.move(point.x + 2, point.y)
    editor.page.wait_for_timeout(500)
    box = editor.page.evaluate(BOXES)[str(placer.number)]
    full = editor.page.screenshot(
        clip={"x": box[0] - 16, "y": box[1] - 16, "width": box[2] + 32, "height": 640}
    )
    save(full, "placer_editor.png", 640)
    editor.page.evaluate(
        "(ids) => ids.forEach((id, i) =>"
        " { editorTest.app.canvas.graph.getNodeById(id).pos = [100, 330 + 450 * i] })",
        encoders[:1],
    )
    editor.settle()
    save(clip(editor, encoders[0]), "IDPatchFaceEncoder.webp", 480)


def clip(editor: EditorPage, number: int) -> bytes:
    left, top, width, height = editor.page.evaluate(BOXES)[str(number)]
    return editor.page.screenshot(
        clip={
            "x": max(left - 16, 0),
            "y": max(top - 16, 0),
            "width": width + 32,
            "height": height + 32,
        }
    )


OTHERS = [
    "IDPatchLoadFaceModel",
    "IDPatchPeople",
    "IDPatchSaveIdentities",
    "IDPatchLoadIdentities",
    "IDPatchLoadModel",
    "IDPatchBuilder",
    "IDPatchLoadPose",
    "IDPatchTokenInjector",
    "IDPatchApplyControlNet",
    "IDPatchRegionGate",
    "IDPatchPhrases",
    "IDPatchSampler",
    "IDPatchRefine",
    "IDPatchResizeHint",
    "IDPatchLoadScorer",
    "IDPatchVerify",
    "IDPatchPickBest",
    "IDPatchUntilRight",
    "IDPatchSaveReport",
    "IDPatchLoadDemoModels",
    "IDPatchLoadDemoPortrait",
]


WRITTEN = [{"name": name, "photos": [photo]} for name, photo in PEOPLE.items()]
FILLED = {"IDPatchPeople": {"people": json.dumps(WRITTEN)}}  # values that show what a node does


def take_others(editor: EditorPage, kinds: list[str]) -> None:
    for kind in kinds:
        editor.clear()
        number = editor.add(kind, 400, 120, **FILLED.get(kind, {}))
        editor.page.mouse.move(5, 900)
        editor.page.wait_for_timeout(400)
        save(clip(editor, number), f"{kind}.webp", 420)


if __name__ == "__main__":
    main()
