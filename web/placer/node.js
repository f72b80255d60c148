// Binds the editor to a Patch Placer node: its `placements` widget, its inputs, its last run.

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { PlacerEditor } from './editor.js'
import { EMPTY_SCENE, decides } from './standing.js'
import { isConnected, locator, numberOf, peopleOf, pictureOf, viewUrl } from './upstream.js'

const LEAST_STAGE = 170 // page pixels
const editors = new Set() // those of nodes in a graph; empty once all are removed
const memories = new Map() // what editors knew when their nodes were removed, by the node's place
const MOST_MEMORIES = 32
const FRESH = 5000 // milliseconds; a graph that is read anew after undo is back by then

const outputs = (node) => app.nodeOutputs?.[locator(node)]
const graph = { api, outputs }

function graphChanged() {
  for (const binding of editors) binding.refresh({ rescale: true })
}

/** Calls `after` whenever the object's method was called. */
function chain(object, method, after) {
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
function takeOver(element, predecessor) {
  if (!element.isConnected && predecessor?.isConnected) predecessor.replaceWith(element)
}

/** The constructor of the `placements` widget, for the frontend's table of widgets. */
export function placementsWidget(node, name) {
  const binding = new Binding(node, name)
  // Height enough for the stage to be square in a node of this width.
  return { widget: binding.widget, minWidth: 340, minHeight: 530 }
}

class Binding {
  constructor(node, name) {
    this.node = node
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
    const { editor } = this
    this.widget = node.addDOMWidget(name, 'idpatch_placements', editor.element, {
      getValue: () => editor.text,
      setValue: (text) => editor.load(text ?? ''),
      getMinHeight: () => editor.chrome + LEAST_STAGE,
      hideOnZoom: false
    })
    editor.element.addEventListener('pointerenter', () => this.refresh())
    chain(node, 'onAdded', () => this.connect())
    chain(node, 'onRemoved', () => this.disconnect())
    chain(node, 'onConnectionsChange', () => this.schedule({ rescale: true }))
    chain(node, 'onExecuted', () => this.schedule())
    this.schedule()
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
    const { node } = this
    if (!editors.has(this) || !node.graph) return
    if (!this.ready) return this.start()
    this.editor.show(this.scene(), { rescale })
  }

  start() {
    this.ready = true
    const { node } = this
    for (const name of ['width', 'height', 'arrangement']) {
      const widget = node.widgets?.find((one) => one.name === name)
      if (!widget || widget === this.watched?.[name]) continue
      this.watched = { ...this.watched, [name]: widget }
      chain(widget, 'callback', () => this.refresh({ rescale: true }))
    }
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
    const { node } = this
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
      count: people?.length ?? null,
      names,
      crops,
      background: this.background(ran),
      poses: isConnected(node, 'pose_keypoint') ? found(ran?.poses) : [],
      faces: isConnected(node, 'base_image') ? found(ran?.faces) : [],
      arrangement: node.widgets?.find(({ name }) => name === 'arrangement')?.value ?? 'auto',
      connected: isConnected(node, 'id_patches'),
      locked: this.linked() ? 'The places come from the connected input.' : null,
      notes: []
    }
  }

  linked() {
    return isConnected(this.node, this.widget.name)
  }

  widthOf(name) {
    return this.node.widgets?.find((widget) => widget.name === name)?.value
  }

  /** The picture behind the people: of the last run, unless another one is connected since. */
  background(ran) {
    const { node } = this
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
      this.widget.value = text
      const arrangement = this.node.widgets.find(({ name }) => name === 'arrangement')
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
