// The undo history of the placements text. Pure functions.

/** @typedef {{texts: string[], index: number}} History  the texts, and which is the current one */

const LONGEST_HISTORY = 100

/** @type {(text: string) => History} */
export const startHistory = (text) => ({ texts: [text], index: 0 })

/**
 * Records a new text as a step.
 * @type {(history: History, text: string) => History}
 */
export function record({ texts, index }, text) {
  const kept = [...texts.slice(0, index + 1), text].slice(-LONGEST_HISTORY)
  return { texts: kept, index: kept.length - 1 }
}

/**
 * Goes one step back (`by` -1) or forth (1), if there is one.
 * @type {(history: History, by: number) => History}
 */
export function step({ texts, index }, by) {
  return { texts, index: Math.min(Math.max(index + by, 0), texts.length - 1) }
}

/**
 * Follows a text that was not written here; one that ComfyUI's own undo restored is a step back.
 * @type {(history: History, text: string) => History}
 */
export function follow(history, text) {
  for (const by of [0, -1, 1]) {
    const neighbour = step(history, by)
    if (text === currentText(neighbour)) return neighbour
  }
  return record(history, text)
}

/**
 * Replaces the current text: a step that continues, such as a key that is held.
 * @type {(history: History, text: string) => History}
 */
export function amend({ texts, index }, text) {
  return { texts: [...texts.slice(0, index), text], index }
}

/** @type {(history: History) => string} */
export const currentText = ({ texts, index }) => texts[index]

/** @type {(history: History) => boolean} */
export const canUndo = ({ index }) => index > 0

/** @type {(history: History) => boolean} */
export const canRedo = ({ texts, index }) => index + 1 < texts.length
