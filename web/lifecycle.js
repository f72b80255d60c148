// Callbacks of nodes, and what outlives a node: undo removes it and makes a new one with its id.

import { locator } from './comfy.js'

const MOST_KEPT = 32

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
 * Keeps the element of a removed node, and what belongs to it, for the node that undo makes.
 * @template {{element: HTMLElement}} Kept
 */
export class UndoKeeper {
  constructor() {
    /** @type {Map<string, Kept>} */
    this.kept = new Map()
  }

  /** @type {(key: string, kept: Kept) => void} */
  keep(key, kept) {
    this.kept.set(key, kept)
    const [oldest] = this.kept.keys()
    if (this.kept.size > MOST_KEPT) this.kept.delete(oldest)
  }

  /**
   * Returns what was kept, and puts an element where the kept one still is.
   *
   * Nodes 2.0 keeps what it drew for a node when undo makes a new node with the same id, and with
   * it the old element.
   * @type {(key: string, element: HTMLElement) => Kept | undefined}
   */
  take(key, element) {
    const kept = this.kept.get(key)
    this.kept.delete(key)
    if (kept?.element.isConnected && !element.isConnected) kept.element.replaceWith(element)
    return kept
  }
}

/**
 * A key for a node, which a new node with the same id shares.
 * @param {ComfyNode} node
 */
export const keyOf = (node) => `${node.graph?.rootGraph?.id}/${locator(node)}`
