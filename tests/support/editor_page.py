"""Drives the Patch Placer's editor in a real browser, as a person does."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MARGIN = 12  # page pixels between the stage's edge and the image
OURS = "/extensions/ComfyUI-ID-Patch/"

# Runs before the page's own scripts. Counts what lives on when a node is gone: listeners on the
# page's lasting objects, observers and timers that our files made; and who wrote to the console.
WATCH = """
(() => {
  const ours = () => new Error().stack.includes('/extensions/ComfyUI-ID-Patch/')
  const watch = window.idpatchWatch = { listeners: new Map(), observers: new Set(), frames: 0,
    intervals: new Set(), messages: [] }
  const { addEventListener, removeEventListener } = EventTarget.prototype
  const numbers = new WeakMap()
  let number = 0
  const key = (target, type, listener) => {
    for (const one of [target, listener]) if (!numbers.has(one)) numbers.set(one, ++number)
    return `${target.constructor.name} ${type} ${numbers.get(target)} ${numbers.get(listener)}`
  }
  const lasting = (target) => !(target instanceof Node) || target === document ||
    target === document.body || target === document.documentElement
  EventTarget.prototype.addEventListener = function (type, listener, ...rest) {
    if (listener && !(this instanceof Image) && lasting(this) && ours()) {
      watch.listeners.set(key(this, type, listener), new Error().stack)
    }
    return addEventListener.call(this, type, listener, ...rest)
  }
  EventTarget.prototype.removeEventListener = function (type, listener, ...rest) {
    if (listener) watch.listeners.delete(key(this, type, listener))
    return removeEventListener.call(this, type, listener, ...rest)
  }
  for (const name of ['ResizeObserver', 'MutationObserver', 'IntersectionObserver']) {
    const Original = window[name]
    window[name] = class extends Original {
      constructor(...args) { super(...args); this.ours = ours() }
      observe(...args) { if (this.ours) watch.observers.add(this); return super.observe(...args) }
      disconnect() { watch.observers.delete(this); return super.disconnect() }
    }
  }
  const { requestAnimationFrame, setInterval, clearInterval } = window
  window.requestAnimationFrame = (callback) => {
    if (ours()) watch.frames += 1
    return requestAnimationFrame(callback)
  }
  window.setInterval = (...args) => {
    const id = setInterval(...args)
    if (ours()) watch.intervals.add(id)
    return id
  }
  window.clearInterval = (id) => { watch.intervals.delete(id); clearInterval(id) }
  for (const level of ['warn', 'error']) {
    const original = console[level]
    console[level] = (...args) => {
      if (ours()) watch.messages.push(args.map(String).join(' '))
      original.apply(console, args)
    }
  }
  addEventListener.call(window, 'error', (event) => {
    const where = `${event.filename} ${event.error?.stack}`
    if (where.includes('/extensions/ComfyUI-ID-Patch/')) watch.messages.push(event.message)
  })
  addEventListener.call(window, 'unhandledrejection', (event) => {
    const where = String(event.reason?.stack)
    if (where.includes('/extensions/ComfyUI-ID-Patch/')) watch.messages.push(where)
  })
})()
"""

HELP = """
(() => {
  const { app } = window.comfyAPI.app
  const graph = () => app.canvas.graph
  const widget = (id, name) => graph().getNodeById(id).widgets.find((one) => one.name === name)
  window.editorTest = {
    app,
    widget,
    add(type, x, y, values = {}) {
      app.canvas.emitBeforeChange()
      const node = LiteGraph.createNode(type)
      node.pos = [x, y]
      graph().add(node)
      for (const [name, value] of Object.entries(values)) {
        node.widgets.find((one) => one.name === name).value = value
      }
      app.canvas.emitAfterChange()
      return node.id
    },
    connect(from, output, to, input) {
      const [source, target] = [graph().getNodeById(from), graph().getNodeById(to)]
      app.canvas.emitBeforeChange()
      source.connect(source.findOutputSlot(output), target, target.findInputSlot(input))
      app.canvas.emitAfterChange()
    },
    disconnect(id, input) {
      const node = graph().getNodeById(id)
      app.canvas.emitBeforeChange()
      node.disconnectInput(node.findInputSlot(input))
      app.canvas.emitAfterChange()
    },
    element: (id) => widget(id, 'placements').element,
    view(scale, left, top) {
      app.canvas.ds.scale = scale
      app.canvas.ds.offset[0] = left
      app.canvas.ds.offset[1] = top
      app.canvas.setDirty(true, true)
    }
  }
})()
"""


class PagePoint(NamedTuple):
    x: float
    y: float


class EditorPage:
    """One page of the frontend; coordinates of the image are output pixels."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        vue: bool,
        touch: bool = False,
        size: tuple[int, int] = (1280, 900),
        density: float = 1,
    ):
        self.context: BrowserContext = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            device_scale_factor=density,
            has_touch=touch,
        )
        self.context.add_init_script(WATCH)
        self.page: Page = self.context.new_page()
        self.vue = vue
        self.url = url
        self.console: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", self._note_error)
        self.load()
        self.page.evaluate(
            """async (vue) => {
              const { setting, command } = editorTest.app.extensionManager
              await setting.set('Comfy.VueNodes.Enabled', vue)
              await setting.set('Comfy.TutorialCompleted', true)
              await setting.set('Comfy.Minimap.Visible', false)
              await setting.set('Comfy.ColorPalette', 'dark')
            }""",
            vue,
        )
        self.load()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and OURS in message.location.get("url", ""):
            self.console.append(message.text)

    def _note_error(self, error: Error) -> None:
        if OURS in str(error.stack):
            self.console.append(f"uncaught: {error}")

    def load(self) -> None:
        """Open the page afresh."""
        self.page.goto(self.url)
        self.page.wait_for_function(
            "() => window.comfyAPI?.app?.app?.extensionManager"
            " && window.LiteGraph?.registered_node_types?.IDPatchPlacer"
            " && document.querySelector('canvas')",
            timeout=90_000,
        )
        self.page.evaluate(HELP)
        self.page.wait_for_function("() => editorTest.app.canvas?.graph")
        self.settle(3)
        self.page.keyboard.press("Escape")

    def close(self) -> None:
        self.context.close()

    def clear(self) -> None:
        """Start with an empty graph, seen at its own size."""
        self.open_graph(
            {
                "last_node_id": 0,
                "last_link_id": 0,
                "nodes": [],
                "links": [],
                "groups": [],
                "config": {},
                "extra": {},
                "version": 0.4,
            }
        )
        self.page.keyboard.press("Escape")
        self.view()

    def open_graph(self, graph: dict[str, Any]) -> None:
        self.page.evaluate("(graph) => editorTest.app.loadGraphData(graph)", graph)
        self.settle()

    def graph(self) -> dict[str, Any]:
        """The graph as it would be saved."""
        # As text: Playwright would turn what is undefined into null.
        return json.loads(
            self.page.evaluate(
                "() => { const { app } = editorTest;"
                " return JSON.stringify((app.rootGraph ?? app.graph).serialize()) }"
            )
        )

    def watched(self) -> list[int]:
        """How many listeners, observers and intervals the page has."""
        return self.page.evaluate(
            "() => [idpatchWatch.listeners.size, idpatchWatch.observers.size,"
            " idpatchWatch.intervals.size]"
        )

    def settle(self, frames: int = 5) -> None:
        """Wait until everything that a frame brings has come."""
        self.page.evaluate(
            """async (frames) => {
              for (let i = 0; i < frames; i++) await new Promise(requestAnimationFrame)
              await new Promise((done) => setTimeout(done, 40))
            }""",
            frames,
        )

    def view(self, scale: float = 1.0, left: float = 0.0, top: float = 0.0) -> None:
        self.page.evaluate("(args) => editorTest.view(...args)", [scale, left, top])
        self.settle()

    def placer(self, text: str = "", x: float = 420, y: float = 90, **values: Any) -> "Placer":
        values = {**values, "placements": text}
        number = self.page.evaluate(
            "([x, y, values]) => editorTest.add('IDPatchPlacer', x, y, values)", [x, y, values]
        )
        self.settle()
        return Placer(self, number)

    def add(self, kind: str, x: float, y: float, **values: Any) -> int:
        number = self.page.evaluate(
            "([kind, x, y, values]) => editorTest.add(kind, x, y, values)", [kind, x, y, values]
        )
        self.settle(2)
        return number

    def connect(self, source: int, output: str, target: int, name: str) -> None:
        self.page.evaluate("(args) => editorTest.connect(...args)", [source, output, target, name])
        self.settle()

    def show_side_panel(self, shown: bool) -> None:
        """Open or close the right side panel; older frontends have none."""
        self.page.evaluate(
            """async (shown) => {
              const { setting } = editorTest.app.extensionManager
              try {
                await setting.set('Comfy.RightSidePanel.IsOpen', shown)
              } catch (error) {
                if (!(error instanceof TypeError)) throw error
              }
            }""",
            shown,
        )
        self.settle()

    def disconnect(self, node: int, name: str) -> None:
        self.page.evaluate("(args) => editorTest.disconnect(...args)", [node, name])
        self.settle()

    def group(self, photos: list[str], **values: Any) -> "Placer":
        """Build a graph from photographs to a Patch Placer: a Face Encoder for each."""
        faces = self.add("IDPatchLoadFaceModel", -900, 90)
        model = self.add("IDPatchLoadModel", -900, 260)
        builder = self.add("IDPatchBuilder", -500, 90)
        placer = self.placer(**values)
        self.connect(model, "idpatch_model", builder, "idpatch_model")
        self.connect(builder, "id_patches", placer.number, "id_patches")
        before = None
        for index, photo in enumerate(photos):
            before = self.encoder(faces, before, photo, 350 * index)
        assert before
        self.connect(before, "identities", builder, "identities")
        return placer

    def encoder(
        self, faces: int, before: int | None, photo: str, y: float, name: str | None = None
    ) -> int:
        """Add a Face Encoder for a photograph, named after its file, behind another one."""
        image = self.add("LoadImage", -900, 450 + y, image=photo)
        name = name or photo.split(".")[0]
        encoder = self.add("IDPatchFaceEncoder", -500, 450 + y, name=name)
        self.connect(faces, "face_model", encoder, "face_model")
        self.connect(image, "IMAGE", encoder, "image")
        if before is not None:
            self.connect(before, "identities", encoder, "identities")
        return encoder

    def run(self) -> dict[str, Any]:
        """Queue the graph as the Run button does; return what all nodes showed, by node."""
        outputs = self.page.evaluate(
            """async () => {
              const { app, } = editorTest
              const { api } = window.comfyAPI.api
              const done = new Promise((resolve, reject) => {
                const stop = (event) => resolve(event.detail)
                api.addEventListener('execution_success', stop, { once: true })
                api.addEventListener('execution_error', (event) =>
                  reject(new Error(event.detail.exception_message)), { once: true })
              })
              await app.queuePrompt(0)
              await done
              return JSON.parse(JSON.stringify(app.nodeOutputs))
            }"""
        )
        self.settle(12)
        return outputs

    def placers(self) -> list["Placer"]:
        numbers = self.page.evaluate(
            "() => [...editorTest.app.canvas.graph.nodes].sort((a, b) => a.id - b.id)"
            ".filter((node) => node.type === 'IDPatchPlacer').map((node) => node.id)"
        )
        return [Placer(self, number) for number in numbers]

    def wait_for_text(self, text: str) -> None:
        """Wait until the only Patch Placer has this text, also where undo makes it anew."""
        self.page.wait_for_function(
            """(text) => {
              const nodes = editorTest.app.canvas.graph.nodes
              const placer = nodes.find(({ type }) => type === 'IDPatchPlacer')
              return placer && editorTest.widget(placer.id, 'placements').value === text
            }""",
            arg=text,
        )
        self.settle(12)

    def bottom_of(self, node: int) -> float:
        """Where a node ends on the page, with the canvas at its own size."""
        return self.page.evaluate(
            """(id) => {
              const { app } = editorTest
              const drawn = document.querySelector(`[data-node-id="${id}"]`) // in Nodes 2.0
              if (drawn) return drawn.getBoundingClientRect().bottom
              const { pos, size } = app.canvas.graph.getNodeById(id)
              return app.canvas.canvas.getBoundingClientRect().top + pos[1] + size[1]
            }""",
            node,
        )

    def complaints(self) -> list[str]:
        """What our files wrote to the console as warnings and errors."""
        return self.console + self.page.evaluate("() => window.idpatchWatch.messages")

    def shot(self, path: Path, placer: "Placer | None" = None, margin: float = 24) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        clip = None
        if placer:
            left, top, width, height = placer.node_box()
            clip = {
                "x": max(left - margin, 0),
                "y": max(top - margin, 0),
                "width": width + 2 * margin,
                "height": height + 2 * margin,
            }
        self.page.screenshot(path=str(path), clip=clip)  # type: ignore[arg-type]
        return path


class Placer:
    """The editor of one Patch Placer."""

    def __init__(self, editor: EditorPage, number: int):
        self.editor = editor
        self.page = editor.page
        self.number = number

    def evaluate(self, script: str, *args: Any) -> Any:
        """Run a script that knows the editor's `element`, the node's `id` and `args`."""
        return self.page.evaluate(
            f"([id, args]) => {{ const element = editorTest.element(id); {script} }}",
            [self.number, list(args)],
        )

    @property
    def text(self) -> str:
        return self.page.evaluate("(id) => editorTest.widget(id, 'placements').value", self.number)

    @text.setter
    def text(self, text: str) -> None:
        self.page.evaluate(
            "([id, text]) => { editorTest.widget(id, 'placements').value = text }",
            [self.number, text],
        )
        self.editor.settle()

    @property
    def points(self) -> list[tuple[float, float] | None]:
        """The points in the text, None for a person off the canvas."""
        data = json.loads(self.text or "[]")
        people = data if isinstance(data, list) else data["people"]
        return [(one["x"], one["y"]) if one and one.get("placed", True) else None for one in people]

    def value(self, name: str) -> Any:
        return self.page.evaluate(
            "([id, name]) => editorTest.widget(id, name).value", [self.number, name]
        )

    def set_by_hand(self, name: str, value: Any) -> None:
        """Change another widget of the node as a person does: with its callback."""
        self.page.evaluate(
            """([id, name, value]) => {
              const widget = editorTest.widget(id, name)
              widget.value = value
              widget.callback?.(value)
            }""",
            [self.number, name, value],
        )
        self.editor.settle()

    def size(self) -> tuple[float, float]:
        """The image's size as the editor shows it."""
        width, height = self.evaluate(
            "const { aspectRatio } = element.querySelector('.idpatch-stage').style;"
            "return aspectRatio.split('/').map(Number)"
        )
        return width, height

    def on_page(self, x: float, y: float) -> PagePoint:
        """Where a pixel of the image is on the page."""
        self.wait()
        left, top, width, _, inner_width, inner_height = self.evaluate(
            """const canvas = element.querySelector('canvas')
            const { left, top, width, height } = canvas.getBoundingClientRect()
            return [left, top, width, height, canvas.clientWidth, canvas.clientHeight]"""
        )
        image_width, image_height = self.size()
        scale = min(
            (inner_width - 2 * MARGIN) / image_width, (inner_height - 2 * MARGIN) / image_height
        )
        zoom = width / inner_width
        return PagePoint(
            left + zoom * ((inner_width - image_width * scale) / 2 + x * scale),
            top + zoom * ((inner_height - image_height * scale) / 2 + y * scale),
        )

    def wait(self) -> None:
        """Wait until the editor is on the page; renderers put it there when they come to it."""
        self.page.wait_for_function(
            "(id) => editorTest.element(id)?.querySelector('canvas').clientWidth > 0",
            arg=self.number,
        )

    def pixel(self) -> float:
        """How many pixels of the image one pixel of the page is."""
        return 100 / (self.on_page(100, 0).x - self.on_page(0, 0).x)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 6) -> None:
        """Drag with the mouse from one pixel of the image to another."""
        mouse, a, b = self.page.mouse, self.on_page(*start), self.on_page(*end)
        mouse.move(a.x, a.y)
        mouse.down()
        mouse.move(b.x, b.y, steps=steps)
        mouse.up()
        self.editor.settle()

    def click(self, x: float, y: float) -> None:
        point = self.on_page(x, y)
        self.page.mouse.click(point.x, point.y)
        self.editor.settle()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.editor.settle(2)

    def act(self, action: str) -> None:
        """Click a button of the toolbar or of a message."""
        # By its position on the page, because the editor may be zoomed.
        box = self.evaluate(
            """const [action] = args
            const { left, top, width, height } =
              element.querySelector(`[data-action="${action}"]`).getBoundingClientRect()
            return [left + width / 2, top + height / 2]""",
            action,
        )
        self.page.mouse.click(*box)
        self.editor.settle()

    def enabled(self, action: str) -> bool:
        return self.evaluate(
            'return !element.querySelector(`[data-action="${args[0]}"]`).disabled', action
        )

    def people(self) -> list[str]:
        """How the list of people reads to a screen reader."""
        return self.evaluate(
            "return [...element.querySelectorAll('.idpatch-person')]"
            ".map((chip) => chip.getAttribute('aria-label'))"
        )

    def messages(self) -> list[str]:
        return self.evaluate(
            "return [...element.querySelectorAll('.idpatch-sentence')]"
            ".map((sentence) => sentence.textContent)"
        )

    def focused(self) -> bool:
        return self.evaluate(
            "return document.activeElement === element.querySelector('.idpatch-stage')"
        )

    def position(self) -> list[float]:
        return self.page.evaluate(
            "(id) => [...editorTest.app.canvas.graph.getNodeById(id).pos]", self.number
        )

    def node_box(self) -> tuple[float, float, float, float]:
        """The node with its title on the page: left, top, width, height."""
        x, y, width, height, scale, left, top = self.page.evaluate(
            """(id) => {
              const { app } = editorTest
              const node = app.canvas.graph.getNodeById(id)
              const { scale, offset } = app.canvas.ds
              return [...node.pos, ...node.size, scale, ...offset]
            }""",
            self.number,
        )
        rect = self.page.evaluate(
            "() => { const r = editorTest.app.canvas.canvas.getBoundingClientRect();"
            " return [r.left, r.top] }"
        )
        title = 34
        return (
            rect[0] + (x + left) * scale,
            rect[1] + (y + top - title) * scale,
            width * scale,
            (height + title) * scale,
        )


def near(a: tuple[float, float] | None, b: tuple[float, float], tolerance: float = 2) -> bool:
    return a is not None and math.dist(a, b) <= tolerance
