// Shows the faces that a node used, with names and scores, after a run.

import { outputsOf, viewUrl } from '../comfy.js'
import { make } from '../dom.js'
import { chain, keyOf, UndoKeeper } from '../lifecycle.js'

const NODES = ['IDPatchFaceEncoder', 'IDPatchSaveIdentities', 'IDPatchLoadIdentities']
/** @type {UndoKeeper<{element: HTMLElement}>} */
const keeper = new UndoKeeper()

/** @param {ComfyNode} node */
export const showsFaces = ({ comfyClass = '' }) => NODES.includes(comfyClass)

/** @type {(face: Required<FacesReport>['faces'][number], index: number) => HTMLElement} */
function makeCard({ name, score, crop }, index) {
  const image = crop
    ? make('img', 'idpatch-crop', { src: viewUrl(crop), alt: `Face of ${name}` })
    : make('div', 'idpatch-crop', {}, '?')
  const caption = make('div', 'idpatch-caption', { title: name }, `${index + 1} ${name}`)
  const card = make('div', 'idpatch-card', { role: 'listitem' }, image, caption)
  if (typeof score === 'number') {
    const title = 'Detection confidence, from 0 to 1'
    card.append(make('div', 'idpatch-score', { title }, score.toFixed(2)))
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
    serialize: false
  })
  widget.serialize = false

  /** @param {FacesReport} [report] */
  const show = ({ faces = [], warnings = [] } = {}) => {
    list.replaceChildren(...faces.map(makeCard))
    const items = warnings.map((warning) => make('div', 'idpatch-warning', {}, warning))
    if (!faces.length && !warnings.length) {
      items.push(make('div', 'idpatch-hint', {}, 'Run the workflow to show the faces here.'))
    }
    notes.replaceChildren(...items)
  }

  /** @type {string | null} */
  let key = null
  /** @type {ResizeObserver | null} */
  let observer = null
  let frame = 0
  const connect = () => {
    observer ??= new ResizeObserver(() => node.graph?.setDirtyCanvas?.(true, true))
    observer.observe(inner)
    frame ||= requestAnimationFrame(() => {
      frame = 0
      if (!node.graph) return
      key = keyOf(node)
      show(outputsOf(node)?.idpatch_faces?.[0])
      keeper.take(key, element)
    })
  }
  const disconnect = () => {
    observer?.disconnect()
    observer = null
    cancelAnimationFrame(frame)
    frame = 0
    if (key) keeper.keep(key, { element })
  }
  chain(node, 'onAdded', connect)
  chain(node, 'onRemoved', disconnect)
  chain(node, 'onExecuted', (output) => show(output?.idpatch_faces?.[0]))

  // The same images without names would follow below: the classic renderer draws them here,
  // Nodes 2.0 asks for this property, and its first versions show the images of the outputs.
  node.onDrawBackground = () => {}
  node.hideOutputImages = true
  chain(node, 'onExecuted', (output) => {
    if (output?.images) output.images = []
  })
}
