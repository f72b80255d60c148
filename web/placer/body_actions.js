// What the user does to the bodies and patches of the selected people.

import { isPlaced } from './entries.js'
import { bodyOf, bodyOfKind, mirroredBody, scaledBody } from './entry_bodies.js'

/**
 * @import { Body } from './bodies.js'
 * @import { PlacerEditor } from './editor.js'
 * @import { Change, Entry } from './entries.js'
 */

const SCALE_STEP = 1.05

/**
 * Gives a person a body; null takes their own away.
 * @type {(editor: PlacerEditor, index: number, body: Body | null, amending?: boolean) => void}
 */
export function setBody(editor, index, body, amending = false) {
  if (!editor.movable || !editor.entries[index]) return
  editor.commitChanges({ [index]: { body } }, amending)
}

/**
 * Changes each selected person for whom a change is given, as one step.
 * @type {(editor: PlacerEditor, changeOf: (entry: Entry) => Change | null, amending?: boolean) =>
 *   void}
 */
function changeSelected(editor, changeOf, amending = false) {
  const { entries, movable, selection } = editor
  const placed = selection.map((index) => entries[index]).filter(isPlaced)
  const changes = placed.flatMap((entry) => {
    const change = changeOf(entry)
    return change ? [[entry.index, change]] : []
  })
  if (movable && changes.length) editor.commitChanges(Object.fromEntries(changes), amending)
}

/**
 * Gives the selected people a body of a kind, or with '' none of their own.
 * @type {(editor: PlacerEditor, kind: string) => void}
 */
export function chooseKind(editor, kind) {
  const { entries, graph } = editor
  changeSelected(editor, ({ index }) => ({
    body: kind ? bodyOfKind(entries, index, kind, graph) : null
  }))
}

/**
 * Scales the selected people's bodies by steps.
 * @type {(editor: PlacerEditor, by: number, amending?: boolean) => void}
 */
export function scaleSelected(editor, by, amending = false) {
  const { graph } = editor
  const scaled = (/** @type {Entry} */ entry) => scaledBody(entry, SCALE_STEP ** by, graph)
  changeSelected(editor, (entry) => (entry.joints ? { body: scaled(entry) } : null), amending)
}

/** @param {PlacerEditor} editor */
export function mirrorSelected(editor) {
  const { graph } = editor
  changeSelected(editor, (entry) => (entry.joints ? { body: mirroredBody(entry, graph) } : null))
}

/** @type {(editor: PlacerEditor, strength: number) => void} */
export function setPatchStrength(editor, strength) {
  changeSelected(editor, () => ({ patchStrength: strength }))
}

/**
 * Gives a standing body to each person without one.
 * @param {PlacerEditor} editor
 */
export function giveBodies(editor) {
  const { entries, graph } = editor
  const without = entries.filter(
    ({ placement, point, joints }) => placement.placed && point && !joints
  )
  editor.commitChanges(
    Object.fromEntries(
      without.map(({ index }) => [index, { body: bodyOfKind(entries, index, 'standing', graph) }])
    )
  )
}

/**
 * Gives each person the skeleton of their pose as their own, so that no other pose is drawn.
 * @param {PlacerEditor} editor
 */
export function keepBodies(editor) {
  const { entries, graph } = editor
  editor.commitChanges(
    Object.fromEntries(
      entries.flatMap((entry) =>
        entry.source === 'pose' ? [[entry.index, { body: bodyOf(entry, graph) }]] : []
      )
    )
  )
}
