"""Measures the Patch Placer: frame times while one of ten people is dragged on a 2048x2048 base.

Needs what the browser tests need. Measures both frontends and both renderers, with the
frames that the editor draws while nothing happens; there should be none.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from editor_page import CHROMIUM, FLAGS, EditorPage, Placer  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from idpatch_core.comfyui.server import comfyui_server  # noqa: E402

PEOPLE = 10
SIDE = 2048
MOVES = 180
IDLE_SECONDS = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    pass


def measure(_: argparse.Namespace) -> dict[str, Any]:
    """Return the frame times for each frontend and renderer."""
    comfyui = Path(os.environ["COMFYUI_PATH"])
    from conftest import newest_frontend

    rows = []
    frontends = {"installed": (), "newest": ("--front-end-root", str(newest_frontend()))}
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
                    names = {"frontend": frontend, "renderer": "nodes2" if vue else "classic"}
                    rows.append({**names, **measure_page(page)})
                    page.close()
        browser.close()
    return {"settings": {"people": PEOPLE, "side": SIDE, "moves": MOVES}, "rows": rows}


def measure_page(editor: EditorPage) -> dict[str, Any]:
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
    return {
        "frames": len(gaps),
        "median": statistics.median(gaps),
        "p95": gaps[int(0.95 * len(gaps))],
        "max": gaps[-1],
        "own": own,
        "idle": idle,
    }


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
