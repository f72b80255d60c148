// A widget that shows what a node's last run says: only there once there is something to show.

import { outputsOf } from './comfy.js'
import { make } from './dom.js'
import { chain, keepWidth, keyOf } from './lifecycle.js'
import { UndoKeeper } from './undo_keeper.js'

const PADDING = 20 // page pixels
const LEAST_WIDTH = 100 // page pixels; until it has its width, text is in a narrow, high column

/** @type {UndoKeeper<null>} */
const keeper = new UndoKeeper()

/**
 * Shows parts of a node's outputs in a widget, which is not saved and not part of the API form.
 * @type {(node: ComfyNode, name: string, makeItems: (output: NodeOutput) => HTMLElement[]) => void}
 */
export function showOutputs(node, name, makeItems) {
  const inner = make('div', 'idpatch-inner')
  const element = make('div', 'idpatch-faces', {}, inner)
  let latest = 0
  const height = () => {
    if (!inner.childElementCount) return 0
    if (inner.offsetWidth >= LEAST_WIDTH) latest = inner.offsetHeight + PADDING
    return latest
  }
  // The node grows when the items have their height.
  const observer = new ResizeObserver(() => node.graph?.setDirtyCanvas?.(true, true))
  /** @type {ComfyWidget | null} */
  let widget = null
  /** @type {string | null} */
  let key = null

  /** @param {NodeOutput} [output] */
  const show = (output = {}) => {
    const items = makeItems(output)
    inner.replaceChildren(...items)
    element.hidden = !items.length
    if (!items.length || widget) return
    widget = node.addDOMWidget(name, `idpatch_${name}`, element, {
      getMinHeight: height,
      getMaxHeight: height,
      hideOnZoom: false,
      hideInPanel: true,
      serialize: false
    })
    widget.serialize = false
    keepWidth(widget)
  }

  chain(node, 'onAdded', () => {
    observer.observe(inner)
    // An opened graph gives its nodes their ids after they are added.
    requestAnimationFrame(() => {
      if (!node.graph) return
      key = keyOf(node)
      show(outputsOf(node))
      keeper.take(key, element)
    })
  })
  chain(node, 'onRemoved', () => {
    observer.disconnect()
    if (key) keeper.keep(key, null, element)
  })
  chain(node, 'onExecuted', (output) => show(output))
}
