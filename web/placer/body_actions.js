// What the user does to the selected person's body and patch.

import { bodyOf, bodyOfKind, mirroredBody, scaledBody } from './entry_bodies.js'

/**
 * @import { Body } from './bodies.js'
 * @import { PlacerEditor } from './editor.js'
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
 * Gives the selected person a body of a kind, or with '' none of their own.
 * @type {(editor: PlacerEditor, kind: string) => void}
 */
export function chooseKind(editor, kind) {
  const { entries, graph, selected } = editor
  if (selected < 0) return
  setBody(editor, selected, kind ? bodyOfKind(entries, selected, kind, graph) : null)
}

/**
 * Scales the selected person's body by steps.
 * @type {(editor: PlacerEditor, by: number, amending?: boolean) => void}
 */
export function scaleSelected(editor, by, amending = false) {
  const { entries, graph, selected } = editor
  const entry = entries[selected]
  if (!entry?.joints) return
  setBody(editor, selected, scaledBody(entry, SCALE_STEP ** by, graph), amending)
}

/** @param {PlacerEditor} editor */
export function mirrorSelected(editor) {
  const entry = editor.entries[editor.selected]
  if (entry?.joints) setBody(editor, editor.selected, mirroredBody(entry, editor.graph))
}

/** @type {(editor: PlacerEditor, strength: number) => void} */
export function setPatchStrength(editor, strength) {
  if (!editor.movable || !editor.entries[editor.selected]) return
  editor.commitChanges({ [editor.selected]: { patchStrength: strength } })
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
