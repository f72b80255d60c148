// The keys of the stage.

import { mirrorSelected, scaleSelected } from './body_actions.js'
import { clampInside } from './geometry.js'
import { shiftTogether } from './selection.js'
import { movePeople, putBackSelected, selectAll, takeOffSelected } from './selection_actions.js'
import { chooseForSwap, stopSwap } from './swap.js'

/**
 * @import { PlacerEditor } from './editor.js'
 * @import { Point } from './layout.js'
 */

const STEP = 1 // pixels of the image for an arrow key
const BIG_STEP = 10 // with Shift

/** @type {Record<string, Point>} */
const ARROWS = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 }
}

/** @type {(editor: PlacerEditor, event: KeyboardEvent) => void} */
export function pressKey(editor, event) {
  const { key, shiftKey, altKey } = event
  if (event.ctrlKey || event.metaKey) {
    // The others are the graph's shortcuts, undo and redo among them.
    if (key.toLowerCase() !== 'a' || shiftKey || altKey) return
    selectAll(editor)
  } else if (key in ARROWS) nudge(editor, event)
  else if (key === 'Tab') cycle(editor, shiftKey ? -1 : 1)
  else if (key === 'Delete' || key === 'Backspace') takeOffSelected(editor)
  else if (key === '+' || key === '=') resize(editor, event, 1)
  else if (key === '-') resize(editor, event, -1)
  else if (key === 'm') mirrorSelected(editor)
  else if (key === 'Enter' || key === ' ') enter(editor)
  else if (key === 'Escape') cancel(editor)
  else return
  event.preventDefault()
  event.stopPropagation()
}

/** @type {(editor: PlacerEditor, event: KeyboardEvent) => void} */
function nudge(editor, { key, shiftKey, repeat }) {
  const { graph, movable, selection, stage } = editor
  const { points } = stage
  const leader = selection.filter((index) => points[index]).at(-1) ?? -1
  const point = points[leader]
  if (!movable || stage.drag || !point) return
  const step = shiftKey ? BIG_STEP : STEP
  const moved = { x: point.x + step * ARROWS[key].x, y: point.y + step * ARROWS[key].y }
  editor.host.beginStep() // a key that is held is one step; it ends with keyup
  const at = clampInside(moved, graph.width, graph.height)
  movePeople(editor, shiftTogether(points, selection, leader, at, graph), repeat)
}

/** @type {(editor: PlacerEditor, event: KeyboardEvent, by: number) => void} */
function resize(editor, { repeat }, by) {
  editor.host.beginStep()
  scaleSelected(editor, by, repeat)
}

/** @type {(editor: PlacerEditor, by: number) => void} */
function cycle(editor, by) {
  const { length } = editor.entries
  if (!length || editor.stage.drag) return
  const from = editor.selected < 0 ? (by > 0 ? -1 : 0) : editor.selected
  editor.select((from + by + length) % length)
  editor.announce(editor.selected)
}

/** @param {PlacerEditor} editor */
function enter(editor) {
  if (editor.swapping !== null) chooseForSwap(editor, editor.selected)
  else putBackSelected(editor)
}

/** @param {PlacerEditor} editor */
function cancel(editor) {
  if (editor.stage.drag) editor.stage.endDrag()
  else if (editor.swapping !== null) stopSwap(editor)
  else editor.leave()
}
