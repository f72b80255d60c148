// Shows the warnings of a node's last run on the node.

import { outputsOf } from './comfy.js'
import { make } from './dom.js'
import { chain } from './lifecycle.js'

const NODES = ['IDPatchTokenInjector', 'IDPatchSampler']

/** @param {ComfyNode} node */
export const showsWarnings = ({ comfyClass = '' }) => NODES.includes(comfyClass)

/**
 * Adds a widget with the first warning, which is not saved and not part of the API form.
 * @param {ComfyNode} node
 */
export function addWarnings(node) {
  const inner = make('div', 'idpatch-inner')
  const element = make('div', 'idpatch-faces', {}, inner)
  const height = () => (inner.childElementCount ? inner.offsetHeight + 20 : 0)
  // The node grows when the text has its height.
  const observer = new ResizeObserver(() => node.graph?.setDirtyCanvas?.(true, true))
  /** @type {ComfyWidget | null} */
  let widget = null

  /** @param {string[]} [warnings] */
  const show = (warnings = []) => {
    inner.replaceChildren(...warnings.map((text) => make('div', 'idpatch-warning', {}, text)))
    element.hidden = !warnings.length
    if (warnings.length && !widget) {
      widget = node.addDOMWidget('warnings', 'idpatch_warnings', element, {
        getMinHeight: height,
        getMaxHeight: height,
        hideOnZoom: false,
        serialize: false
      })
      widget.serialize = false
    }
  }

  chain(node, 'onAdded', () => {
    observer.observe(inner)
    // An opened graph gives its nodes their ids after they are added.
    requestAnimationFrame(() => node.graph && show(outputsOf(node)?.idpatch_warnings))
  })
  chain(node, 'onRemoved', () => observer.disconnect())
  chain(node, 'onExecuted', (output) => show(output?.idpatch_warnings))
}
