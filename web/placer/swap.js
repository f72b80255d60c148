// Swapping two people: the first is selected, then the second.

import { nameOf, swapPeople } from './entries.js'

/** @import { PlacerEditor } from './editor.js' */

/** @param {PlacerEditor} editor */
export function startSwap(editor) {
  editor.swapping = editor.stage.points[editor.selected] ? editor.selected : -1
  editor.refresh()
  editor.stage.element.focus({ preventScroll: true })
}

/** @param {PlacerEditor} editor */
export function stopSwap(editor) {
  editor.swapping = null
  editor.refresh()
}

/** @type {(editor: PlacerEditor, index: number) => void} */
export function chooseForSwap(editor, index) {
  const { entries, graph } = editor
  const { points } = editor.stage
  const first = editor.swapping ?? -1
  if (!points[index]) return
  if (!points[first]) {
    editor.swapping = index
    editor.select(index)
    return
  }
  editor.swapping = null
  if (index === first) return editor.refresh()
  editor.commitChanges(swapPeople(entries, first, index, graph))
  editor.panel.announce(`Swapped ${nameOf(entries[first])} and ${nameOf(entries[index])}`)
}
