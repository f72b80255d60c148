// Shows the faces that a node used, with names and scores, after a run.

import { api } from '../../../scripts/api.js'
import { outputsOf, viewUrl } from '../comfy.js'
import { make, replaceChildren } from '../dom.js'
import { chain, hideImages, keepWidth, keyOf } from '../lifecycle.js'
import { isConnected } from '../placer/links.js'
import { peopleOf } from '../placer/upstream.js'
import { UndoKeeper } from '../undo_keeper.js'

const NODES = ['IDPatchFaceEncoder', 'IDPatchSaveIdentities', 'IDPatchLoadIdentities']
/** @type {UndoKeeper<null>} */
const keeper = new UndoKeeper()

/** @param {ComfyNode} node */
export const showsFaces = ({ comfyClass = '' }) => NODES.includes(comfyClass)

/** @typedef {Required<FacesReport>['faces'][number]} Face */

/**
 * How many people come in before those of a node; null where only a run finds it.
 * @param {ComfyNode} node
 */
const countBefore = (node) =>
  isConnected(node, 'identities') ? (peopleOf(node, 'identities')?.length ?? null) : 0

/** @type {(face: Face, number: number | null) => HTMLElement} */
function makeCard({ name, score, crop }, number) {
  const image = crop
    ? make('img', 'idpatch-crop', { src: viewUrl(crop), alt: `Face of ${name}` })
    : make('div', 'idpatch-crop', {}, '?')
  const caption = make('div', 'idpatch-caption', { title: name }, [number, name].join(' ').trim())
  const card = make('div', 'idpatch-card', { role: 'listitem' }, image, caption)
  if (typeof score === 'number') {
    const title = 'How certain the detector is that this is a face, from 0 to 1'
    card.append(make('div', 'idpatch-score', { title }, `face ${score.toFixed(2)}`))
  }
  return card
}

/**
 * Adds the widget, which is not saved and not part of the API form.
 * @param {ComfyNode} node
 */
export function addFaces(node) {
  const list = make('div', 'idpatch-cards', { role: 'list', 'aria-label': 'Faces' })
  const notes = make('div', 'idpatch-notes')
  const inner = make('div', 'idpatch-inner', {}, list, notes)
  const element = make('div', 'idpatch-faces', {}, inner)

  const widget = node.addDOMWidget('faces', 'idpatch_faces', element, {
    getMinHeight: () => inner.offsetHeight + 20,
    getMaxHeight: () => inner.offsetHeight + 20,
    hideOnZoom: false,
    hideInPanel: true,
    serialize: false
  })
  widget.serialize = false
  keepWidth(widget)

  /** @param {FacesReport} [report] */
  const show = ({ faces = [], warnings = [] } = {}) => {
    // Saved people are all of those that come in.
    const before = node.comfyClass === 'IDPatchSaveIdentities' ? 0 : countBefore(node)
    const number = (/** @type {number} */ index) => (before === null ? null : before + index + 1)
    replaceChildren(
      list,
      faces.map((face, index) => makeCard(face, number(index)))
    )
    const items = warnings.map((warning) => make('div', 'idpatch-warning', {}, warning))
    if (!faces.length && !warnings.length) {
      items.push(make('div', 'idpatch-hint', {}, 'The faces are shown here when this node runs.'))
    }
    notes.replaceChildren(...items)
  }
  const update = () => show(outputsOf(node)?.idpatch_faces?.[0])

  /** @type {string | null} */
  let key = null
  /** @type {ResizeObserver | null} */
  let observer = null
  let frame = 0
  const connect = () => {
    observer ??= new ResizeObserver(() => node.graph?.setDirtyCanvas?.(true, true))
    observer.observe(inner)
    api.addEventListener('graphChanged', update)
    frame ||= requestAnimationFrame(() => {
      frame = 0
      if (!node.graph) return
      key = keyOf(node)
      update()
      keeper.take(key, element)
    })
  }
  const disconnect = () => {
    observer?.disconnect()
    observer = null
    api.removeEventListener('graphChanged', update)
    cancelAnimationFrame(frame)
    frame = 0
    if (key) keeper.keep(key, null, element)
  }
  chain(node, 'onAdded', connect)
  chain(node, 'onRemoved', disconnect)
  chain(node, 'onExecuted', (output) => show(output?.idpatch_faces?.[0]))
  hideImages(node) // the same faces without names
}
