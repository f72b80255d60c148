// Binds the editor to a Patch Placer node: its `placements` widget, its inputs, its last run.

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { chain, hideImages, keepWidth, keyOf } from '../lifecycle.js'
import { UndoKeeper } from '../undo_keeper.js'
import { PlacerEditor } from './editor.js'
import { GraphReader } from './graph_reader.js'
import { usesPlacements } from './graph_state.js'
import { findWidget, hosts, isConnected, promotingInput, source } from './links.js'
import { builtInPoseOf } from './upstream.js'

/** @import { EditorMemory } from './editor.js' */

const TYPE = 'idpatch_placements' // of the widget that holds the text
const STAGE_HEIGHT = { least: 170, most: 340 } // page pixels; `most` is the most asked for

/** @type {Set<Binding>} those of nodes in a graph; empty once all are removed */
const bindings = new Set()

/** @type {UndoKeeper<EditorMemory>} */
const keeper = new UndoKeeper()

function graphChanged() {
  followPromotions()
  for (const binding of bindings) binding.refresh({ rescale: true })
}

/**
 * The constructor of the `placements` widget, for the frontend's table of widgets.
 * @type {WidgetConstructor}
 */
export function placementsWidget(node, name) {
  const binding = new Binding(node, node, name)
  const widget = node.addDOMWidget(name, TYPE, binding.editor.element, {
    getValue: () => binding.editor.text,
    setValue: (text) => binding.editor.load(text ?? ''),
    onDraw: (drawn) => {
      if (drawn !== widget) showPromoted(binding.editor.element)
    },
    ...binding.options
  })
  keepWidth(widget)
  hideImages(node)
  binding.widget = widget
  binding.storage = () => widget
  // Height enough for the stage to be square in a node of this width.
  return { widget, minWidth: 340, minHeight: 530 }
}

/**
 * Gives an editor to every subgraph's node on which the `placements` of a Patch Placer inside are
 * promoted as a bare value. (Frontend 1.58.1 does so; 1.32.9 shows the editor inside there. The
 * versions between them were not tried.)
 */
function followPromotions() {
  for (const { node: placer, name } of [...bindings].filter(({ promotes }) => promotes)) {
    const input = promotingInput(placer, name)
    if (!input || !placer.graph) continue
    for (const host of hosts(placer.graph)) {
      const promoted = () =>
        host.widgets?.find(
          (widget) => widget.name === input && widget.type === TYPE && !widget.element
        )
      const present = [...bindings].some(({ node, name }) => node === host && name === input)
      if (present || !promoted()) continue
      const binding = new Binding(host, placer, input)
      const { element } = binding.editor
      const widget = host.addDOMWidget(`${input}_editor`, `${TYPE}_promoted`, element, {
        getValue: () => '',
        setValue: () => {},
        serialize: false,
        ...binding.options
      })
      widget.serialize = false
      keepWidth(widget)
      binding.widget = widget
      binding.storage = promoted
      binding.connect()
    }
  }
}

/**
 * Moves an element to the copy of its widget that is drawn on a subgraph's node.
 *
 * Frontends that share the element leave it in the hidden parent of the inside when a node on the
 * page is put into a subgraph.
 * @param {HTMLElement} element
 */
function showPromoted(element) {
  if (element.parentElement?.style.display !== 'none') return
  /** @type {NodeListOf<HTMLElement>} */
  const parents = document.querySelectorAll('.dom-widget')
  const free = [...parents].find(
    ({ firstElementChild, style }) => !firstElementChild && style.display !== 'none'
  )
  free?.append(element)
}

class Binding {
  /**
   * @param {ComfyNode} node  shows the editor
   * @param {ComfyNode} placer  the Patch Placer
   * @param {string} name  of the text's widget
   */
  constructor(node, placer, name) {
    this.node = node
    this.placer = placer
    this.name = name
    this.promotes = node === placer
    this.ready = false
    this.scheduled = 0
    this.rescaling = false
    this.changing = false
    /** @type {string | null} */
    this.key = null
    /** @type {ComfyWidget | undefined} that shows the editor */
    this.widget = undefined
    /** @type {() => ComfyWidget | undefined} the widget that holds the text */
    this.storage = () => undefined
    /** @type {Set<ComfyWidget>} whose changes are followed */
    this.watched = new Set()
    this.reader = new GraphReader(placer)
    this.editor = new PlacerEditor({
      write: (text) => this.write(text),
      beginStep: () => this.beginStep(),
      endStep: () => this.endStep(),
      wheel: (event) => this.wheel(event),
      pan: (event) => this.pan(event),
      fitPose: () => this.fitPose(),
      chooseBodies: (kind) => this.chooseBodies(kind),
      useReference: () => this.useReference(),
      setSize: (size) => this.setSize(size),
      isPanning: () => Boolean(app.canvas?.read_only),
      heightChanged: () => node.graph?.setDirtyCanvas?.(true, true)
    })
    this.options = {
      getMinHeight: () => this.editor.panelHeight + this.stageHeight(),
      hideOnZoom: false,
      hideInPanel: true
    }
    this.editor.element.addEventListener('pointerenter', () => this.refresh())
    chain(node, 'onAdded', () => this.connect())
    chain(node, 'onRemoved', () => this.disconnect())
    chain(node, 'onConnectionsChange', () => this.schedule({ rescale: true }))
    if (node === placer) {
      chain(node, 'onExecuted', () => {
        for (const binding of bindings) if (binding.placer === placer) binding.schedule()
      })
    }
    this.schedule()
  }

  /** The height in which the image is as wide as the node, within limits. */
  stageHeight() {
    const { width, height } = this.editor.graph
    const { least, most } = STAGE_HEIGHT
    return Math.min(Math.max(((this.node.size[0] - 20) * height) / width, least), most)
  }

  connect() {
    if (bindings.has(this)) return
    if (bindings.size === 0) api.addEventListener('graphChanged', graphChanged)
    bindings.add(this)
    this.editor.connect()
    this.schedule()
  }

  disconnect() {
    cancelAnimationFrame(this.scheduled)
    this.scheduled = 0
    if (!bindings.delete(this)) return
    if (bindings.size === 0) api.removeEventListener('graphChanged', graphChanged)
    this.endStep()
    if (this.key) {
      const { memory, element } = this.editor
      keeper.keep(this.key, memory, element)
    }
    this.editor.disconnect()
    this.ready = false
  }

  /** Reads the graph in the next frame, when all links and values are set. */
  schedule({ rescale = false } = {}) {
    this.rescaling ||= rescale
    this.scheduled ||= requestAnimationFrame(() => {
      this.scheduled = 0
      this.refresh({ rescale: this.rescaling })
      this.rescaling = false
    })
  }

  /** Shows the graph as it is; with `rescale`, a changed size is one that the user just set. */
  refresh({ rescale = false } = {}) {
    const { node, placer, editor } = this
    if (!bindings.has(this) || !node.graph || !placer.graph) return
    if (node !== placer) {
      const widget = this.storage()
      if (!widget) return this.remove()
      editor.load(String(widget.value ?? ''))
    }
    if (!this.ready) return this.start()
    editor.show(this.reader.read(this.locked()), { rescale })
  }

  /** Removes the editor: the text is not promoted any more. */
  remove() {
    this.disconnect()
    if (this.widget) this.node.removeWidget?.(this.widget)
  }

  start() {
    this.ready = true
    const { node, placer, editor } = this
    for (const name of ['width', 'height', 'arrangement', 'bodies']) {
      const widget = findWidget(placer, name)
      if (node !== placer || !widget || this.watched.has(widget)) continue
      this.watched.add(widget)
      chain(widget, 'callback', () => this.refresh({ rescale: true }))
    }
    followPromotions()
    editor.show(this.reader.read(this.locked()))
    editor.start()
    this.key = keyOf(node)
    const kept = keeper.take(this.key, editor.element)
    if (!kept) return
    const { note, fresh } = kept
    editor.restore({ ...note, focused: note.focused && fresh })
  }

  /** Why no one can be moved here, or null. */
  locked() {
    const { node, name } = this
    if (!isConnected(node, name)) return null
    const from = source(node, name)
    if (!from?.widget) return 'The placements come from the connected input.'
    // Promoted: frontends that share this very editor with the subgraph's node share its text.
    return from.widget.element ? null : 'Promoted: place people on the subgraph’s node.'
  }

  /**
   * Stores the text as one step of ComfyUI's undo.
   * @param {string} text
   */
  write(text) {
    const { canvas } = app
    canvas?.emitBeforeChange?.()
    try {
      const widget = this.storage()
      if (widget) widget.value = text
      const arrangement = findWidget(this.placer, 'arrangement')
      if (text && arrangement && !usesPlacements({ arrangement: arrangement.value })) {
        arrangement.value = 'auto'
        arrangement.callback?.('auto')
      }
    } finally {
      canvas?.emitAfterChange?.()
    }
    this.node.graph?.setDirtyCanvas?.(true, true)
  }

  /** Gives the built-in pose the size of the image. */
  fitPose() {
    const pose = builtInPoseOf(this.placer, 'pose_keypoint')
    if (!pose) return
    const { canvas } = app
    const { width, height } = this.editor.graph
    canvas?.emitBeforeChange?.()
    for (const [name, value] of Object.entries({ width, height })) {
      const widget = findWidget(pose.node, name)
      if (!widget) continue
      widget.value = value
      widget.callback?.(value)
    }
    canvas?.emitAfterChange?.()
    pose.node.graph?.setDirtyCanvas?.(true, true)
    this.refresh()
  }

  /**
   * Sets the node's choice of bodies.
   * @param {string} kind
   */
  chooseBodies(kind) {
    const widget = findWidget(this.placer, 'bodies')
    if (!widget) return
    const { canvas } = app
    canvas?.emitBeforeChange?.()
    widget.value = kind
    widget.callback?.(kind)
    canvas?.emitAfterChange?.()
    this.refresh()
  }

  /**
   * Sets the size of the image, and of a built-in pose that has it, as one step of undo.
   * @param {import('./geometry.js').Size} size
   */
  setSize(size) {
    const { placer } = this
    const pose = builtInPoseOf(placer, 'pose_keypoint')
    const { canvas } = app
    canvas?.emitBeforeChange?.()
    for (const [name, value] of Object.entries(size)) {
      const nodes = pose ? [pose.node, placer] : [placer]
      for (const node of nodes.filter((one) => !isConnected(one, name))) {
        const widget = findWidget(node, name)
        if (!widget) continue
        widget.value = value
        widget.callback?.(value)
      }
    }
    canvas?.emitAfterChange?.()
    this.refresh({ rescale: true })
  }

  /** Connects what is the base image as the reference image instead. */
  useReference() {
    const { placer } = this
    const [base, reference] = ['base_image', 'reference_image'].map(
      (name) => placer.inputs?.findIndex((input) => input.name === name) ?? -1
    )
    const link = base >= 0 ? placer.getInputLink(base) : null
    const from = link && placer.graph?.getNodeById(link.origin_id)
    if (!link || !from || reference < 0) return
    const { canvas } = app
    canvas?.emitBeforeChange?.()
    const slot = link.origin_slot
    placer.disconnectInput(base)
    from.connect(slot, placer, reference)
    canvas?.emitAfterChange?.()
    this.refresh()
  }

  /** From `beginStep` to `endStep`, everything written is one step. */
  beginStep() {
    if (this.changing) return
    this.changing = true
    app.canvas?.emitBeforeChange?.()
  }

  endStep() {
    if (!this.changing) return
    this.changing = false
    app.canvas?.emitAfterChange?.()
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    // Nodes 2.0 gets it from the page; the classic canvas is not an ancestor of the editor.
    if (globalThis.LiteGraph?.vueNodesMode) return
    event.preventDefault()
    event.stopPropagation()
    app.canvas?.processMouseWheel(event)
  }

  /** @param {PointerEvent} event */
  pan(event) {
    if (globalThis.LiteGraph?.vueNodesMode) return
    event.stopPropagation()
    const { canvas } = app
    if (event.type === 'pointerdown') canvas?.processMouseDown(event)
    else if (event.type === 'pointermove') canvas?.processMouseMove(event)
    else canvas?.processMouseUp(event)
  }
}
