"""Measures the Patch Placer: frames while one of twelve people with bodies is dragged.

Needs what the browser tests need. Measures both frontends and both renderers, each beside the same
movement of the pointer over an empty canvas. Chromium draws without a graphics card here, and other
programs disturb the times between frames, so the work that the page itself does in a frame is
measured too, as a share of the 16.7 ms of a frame at 60 Hz. While nothing happens the editor should
draw no frame.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "support"), str(TESTS / "browser")]

from editor_page import CHROMIUM, FLAGS, EditorPage, PagePoint  # noqa: E402
from playwright.sync_api import CDPSession, sync_playwright  # noqa: E402

from idpatch_core.comfyui.server import comfyui_server  # noqa: E402

PEOPLE = 12
COLUMNS = 4
SIDE = 2048
MOVES = 180
IDLE_SECONDS = 3
FRAME = 1000 / 60  # milliseconds


def add_options(parser: argparse.ArgumentParser) -> None:
    pass


def measure(_: argparse.Namespace) -> dict[str, Any]:
    """Return the frame times for each frontend and renderer."""
    comfyui = Path(os.environ["COMFYUI_PATH"])
    from conftest import newest_frontend

    rows = []
    frontends = {"installed": (), "newest": ("--front-end-root", str(newest_frontend()))}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for frontend, arguments in frontends.items():
            with comfyui_server(sys.executable, comfyui, {}, arguments=arguments) as server:
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
    editor.page.evaluate(WATCH_FRAMES)
    empty = move_pointer(editor, PagePoint(640, 450), pressed=False)
    placements = [
        {
            "x": SIDE * (0.5 + index % COLUMNS) / COLUMNS,
            "y": SIDE * (0.15 + 0.25 * (index // COLUMNS)),
        }
        for index in range(PEOPLE)
    ]
    placer = editor.placer(json.dumps(placements), width=SIDE, height=SIDE, bodies="standing")
    editor.page.wait_for_timeout(1500)
    before = placer.points
    dragged = move_pointer(editor, placer.on_page(*(before[4] or (0, 0))), pressed=True)
    if placer.points == before:
        raise RuntimeError("No one was dragged.")
    frames = editor.page.evaluate("() => idpatchWatch.frames")
    time.sleep(IDLE_SECONDS)
    idle = editor.page.evaluate("() => idpatchWatch.frames") - frames
    return {**dragged, **{f"empty_{name}": value for name, value in empty.items()}, "idle": idle}


WATCH_FRAMES = """() => {
  const record = window.idpatchRecord = { gaps: [], on: false }
  const frame = window.requestAnimationFrame
  let last = null
  const tick = (now) => {
    if (last !== null) record.gaps.push(now - last)
    last = now
    if (record.on) frame(tick)
  }
  record.start = () => {
    Object.assign(record, { gaps: [], on: true })
    last = null
    frame(tick)
  }
}"""


def move_pointer(editor: EditorPage, start: PagePoint, pressed: bool) -> dict[str, Any]:
    """Move the pointer back and forth; return times between frames, and the page's work in each."""
    session = editor.context.new_cdp_session(editor.page)
    session.send("Performance.enable")
    mouse = editor.page.mouse
    mouse.move(*start)
    if pressed:
        mouse.down()
    editor.page.evaluate("() => idpatchRecord.start()")
    before = read_metrics(session)
    for move in range(MOVES):
        offset = 60 * (move % 60) / 60
        mouse.move(start.x + offset, start.y + offset / 2)
    after = read_metrics(session)
    gaps = editor.page.evaluate("() => { idpatchRecord.on = false; return idpatchRecord.gaps }")
    if pressed:
        mouse.up()
    session.detach()
    gaps.sort()
    work = {name: 1000 * (after[name] - before[name]) / len(gaps) for name in METRICS}
    return {
        "frames": len(gaps),
        "median": statistics.median(gaps),
        "p95": gaps[int(0.95 * len(gaps))],
        "max": gaps[-1],
        "script": work["ScriptDuration"] / FRAME,
        "task": work["TaskDuration"] / FRAME,
    }


METRICS = ("ScriptDuration", "TaskDuration")  # seconds, of the page's main thread


def read_metrics(session: CDPSession) -> dict[str, float]:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return {one["name"]: one["value"] for one in metrics}
