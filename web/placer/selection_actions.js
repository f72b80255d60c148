// What the user does to the selection, and to all selected people at once.

import { nameOf, pointsOf, putBack } from './entries.js'
import { moveAll } from './entry_bodies.js'
import { isAdding, putLast, toEvenSpacing, toggleSelected, toSameHeight } from './selection.js'
import { chooseForSwap } from './swap.js'

/**
 * @import { PlacerEditor } from './editor.js'
 * @import { Points } from './selection.js'
 */

/**
 * A person, or with -1 the empty stage, was pressed; returns whether a drag may begin.
 * @type {(editor: PlacerEditor, index: number, adding: boolean) => boolean}
 */
export function pressPerson(editor, index, adding) {
  if (editor.swapping !== null) {
    if (index >= 0) chooseForSwap(editor, index)
    return false
  }
  const { movable, selection } = editor
  if (adding) extendSelection(editor, index)
  // A press on one of several selected people may begin a drag of all of them.
  else if (movable && selection.includes(index)) setSelection(editor, putLast(selection, index))
  else editor.select(index)
  return editor.selection.includes(index) && movable
}

/**
 * A person in the list was clicked.
 * @type {(editor: PlacerEditor, index: number, event: MouseEvent) => void}
 */
export function choosePerson(editor, index, event) {
  const byKey = event.detail === 0
  if (editor.swapping !== null) chooseForSwap(editor, index)
  else if (isAdding(event)) {
    extendSelection(editor, index)
    if (byKey) return // the next one to add is in the list too
  } else editor.select(index)
  if (editor.selection.length) editor.stage.element.focus({ preventScroll: true })
}

/** @type {(editor: PlacerEditor, selection: number[]) => void} */
function setSelection(editor, selection) {
  editor.selection = selection
  editor.refresh()
}

/** @type {(editor: PlacerEditor, index: number) => void} */
function extendSelection(editor, index) {
  if (index < 0) return
  setSelection(editor, toggleSelected(editor.selection, index))
  announceSelection(editor)
}

/**
 * Selects all people on the canvas; who was selected last is the last of them.
 * @param {PlacerEditor} editor
 */
export function selectAll(editor) {
  const { entries, selected, stage } = editor
  if (stage.drag || editor.swapping !== null) return
  const placed = pointsOf(entries).flatMap((point, index) => (point ? [index] : []))
  setSelection(editor, placed.includes(selected) ? putLast(placed, selected) : placed)
  announceSelection(editor)
}

/** @param {PlacerEditor} editor */
function announceSelection({ entries, panel, selection }) {
  const names = selection.map((index) => nameOf(entries[index])).join(', ')
  const count = selection.length === 1 ? '1 person' : `${selection.length} people`
  panel.announce(names ? `${count} selected: ${names}` : 'No one selected')
}

/**
 * Moves people with their bodies as one step; null is no change.
 * @type {(editor: PlacerEditor, points: Points, amending?: boolean) => void}
 */
export function movePeople(editor, points, amending = false) {
  const { entries, graph, selected } = editor
  const count = points.filter(Boolean).length
  if (!editor.movable || !count) return
  editor.commitChanges(moveAll(entries, points, graph), amending)
  if (count > 1) editor.panel.announce(`Moved ${count} people`)
  else editor.announce(points[selected] ? selected : points.findIndex(Boolean))
}

/** @param {PlacerEditor} editor */
export function alignSelected(editor) {
  movePeople(editor, toSameHeight(editor.stage.points, editor.selection))
}

/** @param {PlacerEditor} editor */
export function spaceSelected(editor) {
  movePeople(editor, toEvenSpacing(editor.stage.points, editor.selection))
}

/** @param {PlacerEditor} editor */
export function takeOffSelected(editor) {
  const { entries, movable, selection } = editor
  const placed = selection.filter((index) => entries[index]?.placement.placed)
  if (!movable || !placed.length) return
  editor.commitChanges(Object.fromEntries(placed.map((index) => [index, { placed: false }])))
  if (placed.length > 1) editor.panel.announce(`${placed.length} people are off the canvas`)
  else editor.announce(placed[0])
}

/** @param {PlacerEditor} editor */
export function putBackSelected(editor) {
  const off = editor.selection.filter((index) => editor.entries[index]?.placement.placed === false)
  putBackPeople(editor, off)
}

/** @type {(editor: PlacerEditor, indices: number[]) => void} */
export function putBackPeople(editor, indices) {
  if (!editor.movable || !indices.length) return
  editor.commitChanges(putBack(editor.entries, indices, editor.graph))
}
