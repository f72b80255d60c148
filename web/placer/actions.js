// The actions of the toolbar and of the messages.

import { giveBodies, keepBodies, mirrorSelected, scaleSelected } from './body_actions.js'
import { applyChanges, arrange, assignPlacements, moveInside, placedEntries } from './entries.js'
import { targetsOf } from './graph_state.js'
import { canRedo, canUndo } from './history.js'
import { ARRANGEMENTS } from './layout.js'
import { keepPixels, writeState } from './placements.js'
import {
  alignSelected,
  putBackPeople,
  putBackSelected,
  spaceSelected,
  takeOffSelected
} from './selection_actions.js'
import { startSwap, stopSwap } from './swap.js'

/** @import { PlacerEditor } from './editor.js' */

/**
 * Tells which actions of the toolbar can be taken now.
 * @type {(editor: PlacerEditor) => Record<string, boolean>}
 */
export function enabledActions({ entries, graph, history, locked, movable, selected, text }) {
  const placed = placedEntries(entries).length
  const several = placed > 1
  const editable = !locked && entries.length > 0
  const targets = targetsOf(graph).length > 0
  return {
    ...Object.fromEntries(Object.keys(ARRANGEMENTS).map((id) => [id, editable])),
    undo: !graph.locked && canUndo(history),
    redo: !graph.locked && canRedo(history),
    left_to_right: movable && entries.length > 0 && (several || targets),
    swap: movable && several,
    snap: movable && placed > 0,
    off: movable && selected >= 0,
    reset: !graph.locked && text !== '',
    text: true,
    pop_out: true
  }
}

/** @type {(editor: PlacerEditor, action: string) => void} */
export function act(editor, action) {
  const { entries, graph, selected, state } = editor
  switch (action) {
    case 'undo':
      return editor.goBack(-1)
    case 'redo':
      return editor.goBack(1)
    case 'left_to_right':
      return editor.commitChanges(assignPlacements(entries, targetsOf(graph), graph))
    case 'swap':
      return editor.swapping === null ? startSwap(editor) : stopSwap(editor)
    case 'snap':
      return editor.toggleSnapping()
    case 'off':
      return entries[selected]?.placement.placed ? takeOffSelected(editor) : putBackSelected(editor)
    case 'same_height':
      return alignSelected(editor)
    case 'even_spacing':
      return spaceSelected(editor)
    case 'reset':
      return editor.commitText('')
    case 'text':
      return editor.toggleText()
    case 'pop_out':
      return editor.popOut.toggle()
    case 'complete':
      return editor.commitChanges({})
    case 'trim':
      return editor.commitPlacements(applyChanges(entries, {}, graph).slice(0, graph.count ?? 0))
    case 'inside':
      return editor.commitChanges(moveInside(entries, graph))
    case 'scale':
      return editor.commit(writeState(keepPixels(state, graph, state.madeFor ?? graph), graph))
    case 'keep':
      return editor.commit(writeState(state, graph))
    case 'smaller':
      return scaleSelected(editor, -1)
    case 'larger':
      return scaleSelected(editor, 1)
    case 'mirror':
      return mirrorSelected(editor)
    case 'give_bodies':
      return giveBodies(editor)
    case 'keep_bodies':
      return keepBodies(editor)
    case 'standing_bodies':
      return editor.host.chooseBodies('standing')
    case 'use_reference':
      return editor.host.useReference()
    case 'fit_pose':
      return editor.host.fitPose()
    case 'return': {
      const off = entries.filter(({ placement }) => !placement.placed)
      return putBackPeople(
        editor,
        off.map(({ index }) => index)
      )
    }
    default:
      return editor.commitChanges(arrange(entries, action, graph))
  }
}
