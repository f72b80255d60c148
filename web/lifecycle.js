// Callbacks of nodes, and their keys.

import { locator } from './comfy.js'

/**
 * Calls `after` whenever the object's method was called.
 * @template {object} Target
 * @param {Target} object
 * @param {keyof Target} method
 * @param {(...args: any[]) => void} after
 */
export function chain(object, method, after) {
  const target = /** @type {any} */ (object)
  const original = target[method]
  target[method] = function (/** @type {any[]} */ ...args) {
    const result = original?.apply(this, args)
    after.apply(this, args)
    return result
  }
}

/**
 * Keeps a DOM widget as wide as its node.
 *
 * The side panel of newer frontends shows widgets of unknown types in a canvas of its own, and
 * leaves that canvas's width on the widget.
 * @param {ComfyWidget} widget
 */
export function keepWidth(widget) {
  Object.defineProperty(widget, 'width', { configurable: true, get() {}, set() {} })
}

/**
 * Hides the images of a node's outputs, which its own widget shows better.
 * @param {ComfyNode} node
 */
export function hideImages(node) {
  // The classic renderer draws them here, Nodes 2.0 asks for this property, and its first versions
  // show the images of the outputs.
  node.onDrawBackground = () => {}
  node.hideOutputImages = true
  chain(node, 'onExecuted', (output) => {
    if (output?.images) output.images = []
  })
}

/**
 * A key for a node, which a new node with the same id shares.
 * @param {ComfyNode} node
 */
export const keyOf = (node) => `${node.graph?.rootGraph?.id}/${locator(node)}`
