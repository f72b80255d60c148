// Binds the people's editor to a People node: its `people` widget, its inputs, its last run.

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { outputsOf } from '../comfy.js'
import { chain, hideImages, keepWidth, keyOf } from '../lifecycle.js'
import { isConnected } from '../placer/links.js'
import { peopleAt, peopleOf } from '../placer/upstream.js'
import { UndoKeeper } from '../undo_keeper.js'
import { PeopleEditor } from './editor.js'

const TYPE = 'idpatch_people' // of the widget that holds the text
const PADDING = 20 // page pixels

/** @type {UndoKeeper<null>} */
const keeper = new UndoKeeper()

/**
 * Reads what the graph and the last run say.
 * @type {(node: ComfyNode, name: string) => import('./editor.js').RunReport}
 */
function readReport(node, name) {
  const { warnings = [] } = outputsOf(node)?.idpatch_faces?.[0] ?? {}
  const before = isConnected(node, 'identities') ? (peopleOf(node, 'identities')?.length ?? 0) : 0
  return {
    before,
    fixed: isConnected(node, name),
    crops: (peopleAt(node) ?? []).slice(before).map(({ crop }) => crop ?? null),
    found: outputsOf(node)?.idpatch_photos?.[0] ?? {},
    warnings
  }
}

/**
 * The constructor of the `people` widget, for the frontend's table of widgets.
 * @type {WidgetConstructor}
 */
export function peopleWidget(node, name) {
  const editor = new PeopleEditor({
    write: (text) => {
      app.canvas?.emitBeforeChange?.()
      widget.value = text
      app.canvas?.emitAfterChange?.()
      // The nodes after this one show the people.
      node.graph?.setDirtyCanvas?.(true, true)
    }
  })
  const height = () => editor.inner.offsetHeight + PADDING
  const widget = node.addDOMWidget(name, TYPE, editor.element, {
    getValue: () => editor.text,
    setValue: (text) => editor.load(text ?? ''),
    getMinHeight: height,
    getMaxHeight: height,
    hideOnZoom: false,
    hideInPanel: true
  })
  keepWidth(widget)
  hideImages(node) // the faces without names

  const update = () => editor.show(readReport(node, name))
  /** @type {string | null} */
  let key = null
  /** @type {ResizeObserver | null} */
  let observer = null
  let frame = 0
  const schedule = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0
      if (node.graph) update()
    })
  }
  chain(node, 'onAdded', () => {
    observer ??= new ResizeObserver(() => node.graph?.setDirtyCanvas?.(true, true))
    observer.observe(editor.inner)
    api.addEventListener('graphChanged', schedule)
    requestAnimationFrame(() => {
      if (!node.graph) return
      key = keyOf(node)
      update()
      keeper.take(key, editor.element)
    })
  })
  chain(node, 'onRemoved', () => {
    observer?.disconnect()
    observer = null
    api.removeEventListener('graphChanged', schedule)
    cancelAnimationFrame(frame)
    frame = 0
    if (key) keeper.keep(key, null, editor.element)
  })
  chain(node, 'onConnectionsChange', schedule)
  chain(node, 'onExecuted', schedule)
  return { widget, minWidth: 320, minHeight: 140 }
}
