// Binds the editor to a Patch Placer node: its `placements` widget, its inputs, its last run.

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { PlacerEditor } from './editor.js'
import { decides, EMPTY_SCENE } from './standing.js'
import {
  hosts,
  isConnected,
  locator,
  numberOf,
  peopleOf,
  pictureOf,
  promotingInput,
  source,
  viewUrl
} from './upstream.js'

const STAGE = [170, 340] // page pixels: the least height, and the most that is asked for
const editors = new Set() // those of nodes in a graph; empty once all are removed
const memories = new Map() // what editors knew when their nodes were removed, by the node's place
const MOST_MEMORIES = 32
const FRESH = 5000 // milliseconds; a graph that is read anew after undo is back by then

const outputs = (node) => app.nodeOutputs?.[locator(node)]
const graph = { api, outputs }

function graphChanged() {
  followPromotions()
  for (const binding of editors) binding.refresh({ rescale: true })
}

/** Calls `after` whenever the object's method was called. */
export function chain(object, method, after) {
  const original = object[method]
  object[method] = function (...args) {
    const result = original?.apply(this, args)
    after.apply(this, args)
    return result
  }
}

/**
 * Puts an element where the one of its predecessor still hangs.
 *
 * Nodes 2.0 keeps what it drew for a node when undo makes a new node of the same number, and with
 * it the old element.
 */
export function takeOver(element, predecessor) {
  if (!element.isConnected && predecessor?.isConnected) predecessor.replaceWith(element)
}

const TYPE = 'idpatch_placements' // of the widget that holds the text

/** The constructor of the `placements` widget, for the frontend's table of widgets. */
export function placementsWidget(node, name) {
  const binding = new Binding(node, node, name)
  binding.widget = node.addDOMWidget(name, TYPE, binding.editor.element, {
    getValue: () => binding.editor.text,
    setValue: (text) => binding.editor.load(text ?? ''),
    onDraw: (drawn) => {
      if (drawn !== binding.widget) showPromoted(binding.editor.element)
    },
    ...binding.options
  })
  binding.stored = () => binding.widget
  // Height enough for the stage to be square in a node of this width.
  return { widget: binding.widget, minWidth: 340, minHeight: 530 }
}

/**
 * Gives an editor to every subgraph's node on which the `placements` of a Patch Placer inside are
 * promoted as a bare value. (Frontend 1.58.1 does so; 1.32.9 shows the editor of the inside there.
 * What those between them do is not known.)
 */
function followPromotions() {
  for (const { node: placer, name } of [...editors].filter(({ promotes }) => promotes)) {
    const input = promotingInput(placer, name)
    if (!input) continue
    for (const host of hosts(placer.graph)) {
      const projected = () =>
        host.widgets?.find((one) => one.name === input && one.type === TYPE && !one.element)
      const present = [...editors].some((one) => one.node === host && one.name === input)
      if (present || !projected()) continue
      const binding = new Binding(host, placer, input)
      const { element } = binding.editor
      binding.widget = host.addDOMWidget(`${input}_editor`, `${TYPE}_promoted`, element, {
        getValue: () => '',
        setValue: () => {},
        serialize: false,
        ...binding.options
      })
      binding.widget.serialize = false
      binding.stored = projected
      binding.connect()
    }
  }
}

/**
 * Moves an element to the copy of its widget that is drawn on a subgraph's node.
 *
 * Frontends that share the element leave it in the hidden place inside when a node that is shown
 * is put into a subgraph.
 */
function showPromoted(element) {
  if (element.parentElement?.style.display !== 'none') return
  const places = [...document.querySelectorAll('.dom-widget')]
  const free = places.find((one) => !one.firstElementChild && one.style.display !== 'none')
  free?.append(element)
}

class Binding {
  /** `node` shows the editor, `placer` is the Patch Placer; `name` that of the text's widget. */
  constructor(node, placer, name) {
    this.node = node
    this.placer = placer
    this.name = name
    this.promotes = node === placer
    this.ready = false
    this.scheduled = 0
    this.changing = false
    this.editor = new PlacerEditor({
      write: (text) => this.write(text),
      begin: () => this.begin(),
      end: () => this.end(),
      wheel: (event) => this.wheel(event),
      pan: (event) => this.pan(event),
      panning: () => Boolean(app.canvas?.read_only),
      grown: () => node.graph?.setDirtyCanvas?.(true, true)
    })
    this.options = {
      getMinHeight: () => this.editor.chrome + this.stageHeight(),
      hideOnZoom: false
    }
    this.editor.element.addEventListener('pointerenter', () => this.refresh())
    chain(node, 'onAdded', () => this.connect())
    chain(node, 'onRemoved', () => this.disconnect())
    chain(node, 'onConnectionsChange', () => this.schedule({ rescale: true }))
    if (node === placer) {
      chain(node, 'onExecuted', () => {
        for (const one of editors) if (one.placer === placer) one.schedule()
      })
    }
    this.schedule()
  }

  /** The height in which the picture is as wide as the node, within limits. */
  stageHeight() {
    const { width, height } = this.editor.scene
    const [least, most] = STAGE
    return Math.min(Math.max(((this.node.size[0] - 20) * height) / width, least), most)
  }

  connect() {
    if (editors.has(this)) return
    if (editors.size === 0) api.addEventListener('graphChanged', graphChanged)
    editors.add(this)
    this.editor.connect()
    this.schedule()
  }

  disconnect() {
    cancelAnimationFrame(this.scheduled)
    this.scheduled = 0
    if (!editors.delete(this)) return
    if (editors.size === 0) api.removeEventListener('graphChanged', graphChanged)
    this.end()
    if (this.place) {
      const { memory, element } = this.editor
      memories.set(this.place, { ...memory, element, time: performance.now() })
      if (memories.size > MOST_MEMORIES) memories.delete(memories.keys().next().value)
    }
    this.editor.disconnect()
    this.ready = false
  }

  /** Looks at the graph in the next frame, when links and values are all there. */
  schedule({ rescale = false } = {}) {
    this.rescaling ||= rescale
    this.scheduled ||= requestAnimationFrame(() => {
      this.scheduled = 0
      this.refresh({ rescale: this.rescaling })
      this.rescaling = false
    })
  }

  /** Shows the graph as it is; with `rescale`, a changed size is one that a person just set. */
  refresh({ rescale = false } = {}) {
    const { node, placer, editor } = this
    if (!editors.has(this) || !node.graph || !placer.graph) return
    if (node !== placer) {
      const stored = this.stored()
      if (!stored) return this.remove()
      editor.load(String(stored.value ?? ''))
    }
    if (!this.ready) return this.start()
    editor.show(this.scene(), { rescale })
  }

  /** The text is not promoted any more. */
  remove() {
    this.disconnect()
    this.node.removeWidget?.(this.widget)
  }

  start() {
    this.ready = true
    const { node, placer } = this
    for (const name of ['width', 'height', 'arrangement']) {
      const widget = placer.widgets?.find((one) => one.name === name)
      if (node !== placer || !widget || widget === this.watched?.[name]) continue
      this.watched = { ...this.watched, [name]: widget }
      chain(widget, 'callback', () => this.refresh({ rescale: true }))
    }
    followPromotions()
    this.editor.show(this.scene())
    this.editor.start()
    this.place = `${node.graph.rootGraph?.id}/${locator(node)}`
    const memory = memories.get(this.place)
    memories.delete(this.place)
    if (!memory) return
    takeOver(this.editor.element, memory.element)
    const fresh = performance.now() - memory.time < FRESH
    this.editor.remember({ ...memory, focused: memory.focused && fresh })
  }

  /** What the graph says; see standing.js. */
  scene() {
    const node = this.placer
    const [report] = outputs(node)?.idpatch_placer ?? []
    const width = numberOf(node, 'width') ?? report?.width ?? this.widthOf('width') ?? 1024
    const height = numberOf(node, 'height') ?? report?.height ?? this.widthOf('height') ?? 1024
    const ran = report?.version === 1 ? report : null
    const upstream = peopleOf(node, 'id_patches', graph)
    const people = upstream ?? ran?.people ?? null
    const crops = (people ?? []).map((person, index) => {
      if (typeof person.crop === 'string') return person.crop
      const crop = person.crop ?? (ran?.people.length === people.length && ran.people[index].crop)
      return crop ? viewUrl(api, crop) : null
    })
    const names = (people ?? []).map(
      ({ name }, index) =>
        name || (ran?.people.length === people.length && ran.people[index].name) || null
    )
    const same = ran?.width === width && ran?.height === height
    const found = (points) => (same && points ? points.map(([x, y]) => ({ x, y })) : [])
    return {
      ...EMPTY_SCENE,
      width,
      height,
      patchSize: ran?.patch_size ?? EMPTY_SCENE.patchSize,
      heads: same ? (ran.head_patches ?? []).map(([x, y, size]) => ({ x, y, size })) : [],
      count: people?.length ?? null,
      names,
      crops,
      background: this.background(ran),
      poses: isConnected(node, 'pose_keypoint') ? found(ran?.poses) : [],
      faces: isConnected(node, 'base_image') ? found(ran?.faces) : [],
      arrangement: node.widgets?.find(({ name }) => name === 'arrangement')?.value ?? 'auto',
      connected: isConnected(node, 'id_patches'),
      locked: this.lock(),
      // Of the poses and faces that places were taken from; the others the editor finds itself.
      notes: (same ? ran.warnings : []).filter((one) => /^(pose_keypoint|base_image):/.test(one))
    }
  }

  /** Why nobody can be moved here, or null. */
  lock() {
    const { node, placer, name } = this
    const input = node === placer ? placer : node
    if (!isConnected(input, name)) return null
    const from = source(input, name)
    if (!from?.widget) return 'The places come from the connected input.'
    // Promoted: frontends that share this very editor with the subgraph's node share its text.
    return from.widget.element ? null : 'Promoted: people are placed on the subgraph’s node.'
  }

  widthOf(name) {
    return this.placer.widgets?.find((widget) => widget.name === name)?.value
  }

  /** The picture behind the people: of the last run, unless another one is connected since. */
  background(ran) {
    const node = this.placer
    const live = isConnected(node, 'base_image')
      ? pictureOf(node, 'base_image', graph)
      : isConnected(node, 'pose_keypoint')
        ? pictureOf(node, 'pose_keypoint', graph)
        : null
    const connected = isConnected(node, 'base_image') || isConnected(node, 'pose_keypoint')
    if (!connected) return null
    const drawn = ran?.base ? viewUrl(api, ran.base) : null
    if (drawn !== this.drawn) {
      this.drawn = drawn
      this.liveThen = live
    }
    return drawn && live === this.liveThen ? drawn : (live ?? drawn)
  }

  /** Stores the text as one step of ComfyUI's undo. */
  write(text) {
    const { canvas } = app
    canvas?.emitBeforeChange?.()
    try {
      this.stored().value = text
      const arrangement = this.placer.widgets.find(({ name }) => name === 'arrangement')
      if (text && arrangement && !decides({ arrangement: arrangement.value })) {
        arrangement.value = 'auto'
        arrangement.callback?.('auto')
      }
    } finally {
      canvas?.emitAfterChange?.()
    }
    this.node.graph?.setDirtyCanvas?.(true, true)
  }

  /** From `begin` to `end`, everything written is one step. */
  begin() {
    if (this.changing) return
    this.changing = true
    app.canvas?.emitBeforeChange?.()
  }

  end() {
    if (!this.changing) return
    this.changing = false
    app.canvas?.emitAfterChange?.()
  }

  wheel(event) {
    // Nodes 2.0 get it from the page; the classic canvas lies beside us and has to be told.
    if (globalThis.LiteGraph?.vueNodesMode) return
    event.preventDefault()
    event.stopPropagation()
    app.canvas.processMouseWheel(event)
  }

  pan(event) {
    if (globalThis.LiteGraph?.vueNodesMode) return
    event.stopPropagation()
    const { canvas } = app
    if (event.type === 'pointerdown') canvas.processMouseDown(event)
    else if (event.type === 'pointermove') canvas.processMouseMove(event)
    else canvas.processMouseUp(event)
  }
}
