"""Measures the Patch Placer: frame times while one of ten people is dragged on a 2048x2048 base.

    python tests/benchmarks/placer.py

Needs what the browser tests need. Prints a table for both frontends and both renderers, with the
frames that the editor draws while nothing happens; there should be none.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from editor_page import CHROMIUM, FLAGS, EditorPage, Placer  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from idpatch_core.comfyui import environment  # noqa: E402
from idpatch_core.comfyui.server import comfyui_server  # noqa: E402

PEOPLE = 10
SIDE = 2048
MOVES = 180
IDLE_SECONDS = 3


def main() -> None:
    comfyui = environment.find_comfyui()
    if comfyui is None:
        sys.exit("No ComfyUI. Set COMFYUI_PATH, or run `python3 -m tests`.")
    from conftest import newest_frontend

    frontends = {"installed": (), "newest": ("--front-end-root", str(newest_frontend()))}
    print(f"{PEOPLE} people on {SIDE}x{SIDE}, {MOVES} pointer moves, in ms")
    print("frontend   renderer  frames  median   95 %    max  own work a frame  idle frames")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary, "base.png")
        noise = Image.effect_noise((SIDE, SIDE), 60).convert("RGB")
        noise.save(base)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for frontend, arguments in frontends.items():
            with comfyui_server(sys.executable, comfyui, {}, arguments=arguments) as server:
                (server.base / "input").mkdir(exist_ok=True)
                shutil.copy(base, server.base / "input")
                for vue in (False, True):
                    page = EditorPage(browser, server.url, vue)
                    print(f"{frontend:10} {'nodes2' if vue else 'classic':8} {measure_page(page)}")
                    page.close()
        browser.close()


def measure_page(editor: EditorPage) -> str:
    """Return the figures of one row of the table."""
    editor.clear()
    placements = [{"x": 150 + 190 * index, "y": 700 + 90 * (index % 3)} for index in range(PEOPLE)]
    placer = editor.placer(json.dumps(placements), width=SIDE, height=SIDE)
    image = editor.add("LoadImage", 40, 500, image="base.png")
    editor.connect(image, "IMAGE", placer.number, "base_image")
    editor.page.wait_for_timeout(1500)
    frames = drag_person(editor, placer)
    gaps = sorted(frames["gaps"])
    before = editor.page.evaluate("() => idpatchWatch.frames")
    time.sleep(IDLE_SECONDS)
    idle = editor.page.evaluate("() => idpatchWatch.frames") - before
    own = statistics.mean(frames["own"]) if frames["own"] else float("nan")
    return (
        f"{len(gaps):6} {statistics.median(gaps):7.1f} {gaps[int(0.95 * len(gaps))]:6.1f}"
        f" {gaps[-1]:6.1f} {own:17.2f} {idle:12}"
    )


def drag_person(editor: EditorPage, placer: Placer) -> dict[str, list[float]]:
    """Drag person 5 in circles; return the times between frames and of the editor's own drawing."""
    editor.page.evaluate(
        """() => {
          const record = window.idpatchRecord = { gaps: [], own: [], on: true }
          const frame = window.requestAnimationFrame
          window.requestAnimationFrame = (callback) => frame(
            new Error().stack.includes('/extensions/ComfyUI-ID-Patch/')
              ? (now) => {
                  const start = performance.now()
                  callback(now)
                  record.own.push(performance.now() - start)
                }
              : callback)
          let last = null
          const tick = (now) => {
            if (last !== null) record.gaps.push(now - last)
            last = now
            if (record.on) frame(tick)
          }
          frame(tick)
        }"""
    )
    mouse, start = editor.page.mouse, placer.on_page(*(placer.points[4] or (0, 0)))
    mouse.move(*start)
    mouse.down()
    for move in range(MOVES):
        offset = 60 * (move % 60) / 60
        mouse.move(start.x + offset, start.y + offset / 2)
    mouse.up()
    return editor.page.evaluate(
        "() => { const { idpatchRecord: record } = window; record.on = false;"
        " return { gaps: record.gaps, own: record.own } }"
    )


if __name__ == "__main__":
    main()
