// What outlives a node: undo removes it and makes a new one with its id.

const MOST_KEPT = 32
const FRESH = 5000 // milliseconds; a graph that is read anew after undo is back by then

/**
 * Keeps a note on a removed node for the node that undo makes, and for a moment its element.
 * @template Note
 */
export class UndoKeeper {
  constructor() {
    /** @type {Map<string, {note: Note, element: HTMLElement | null}>} */
    this.kept = new Map()
  }

  /**
   * Keeps a note, which must not refer to the node, its element or the graph.
   * @type {(key: string, note: Note, element: HTMLElement) => void}
   */
  keep(key, note, element) {
    /** @type {{note: Note, element: HTMLElement | null}} */
    const kept = { note, element }
    this.kept.delete(key)
    this.kept.set(key, kept)
    const [oldest] = this.kept.keys()
    if (this.kept.size > MOST_KEPT) this.kept.delete(oldest)
    // Its listeners refer to the node and so to the whole graph.
    setTimeout(() => {
      kept.element = null
    }, FRESH)
  }

  /**
   * Returns the note and whether it is fresh, and puts an element where the kept one still is.
   *
   * Nodes 2.0 keeps what it drew for a node when undo makes a new node with the same id, and with
   * it the old element.
   * @type {(key: string, element: HTMLElement) => {note: Note, fresh: boolean} | undefined}
   */
  take(key, element) {
    const kept = this.kept.get(key)
    if (!kept) return undefined
    this.kept.delete(key)
    if (kept.element?.isConnected && !element.isConnected) kept.element.replaceWith(element)
    return { note: kept.note, fresh: kept.element !== null }
  }
}
