// Shows the faces that a node took, with names and scores, after a run.

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { chain, takeOver } from '../placer/node.js'
import { locator, viewUrl } from '../placer/upstream.js'

const NODES = ['IDPatchFaceEncoder', 'IDPatchSaveIdentities', 'IDPatchLoadIdentities']
const elements = new Map() // the last element of a node, by the node's place

export const showsFaces = (node) => NODES.includes(node.comfyClass)

function make(tag, className, text = '') {
  const element = document.createElement(tag)
  element.className = className
  element.textContent = text
  return element
}

function card({ name, score, crop }, index) {
  const item = make('div', 'idpatch-card')
  item.setAttribute('role', 'listitem')
  const picture = make(crop ? 'img' : 'div', 'idpatch-crop', crop ? '' : '?')
  if (crop) {
    picture.src = viewUrl(api, crop)
    picture.alt = `Face of ${name}`
  }
  const known = typeof score === 'number'
  const caption = make('div', 'idpatch-caption', `${index + 1} ${name}`)
  caption.title = name
  item.append(picture, caption)
  if (known) {
    const certainty = make('div', 'idpatch-score', score.toFixed(2))
    certainty.title = 'How sure the detector is that this is a face, from 0 to 1'
    item.append(certainty)
  }
  return item
}

/** Adds the widget; it says nothing to the API and is not saved. */
export function addFaces(node) {
  const list = make('div', 'idpatch-cards')
  list.setAttribute('role', 'list')
  list.setAttribute('aria-label', 'Faces taken')
  const notes = make('div', 'idpatch-notes')
  const inner = make('div', 'idpatch-inner')
  inner.append(list, notes)
  const element = make('div', 'idpatch-faces')
  element.append(inner)

  const widget = node.addDOMWidget('faces', 'idpatch_faces', element, {
    getMinHeight: () => inner.offsetHeight + 20,
    getMaxHeight: () => inner.offsetHeight + 20,
    hideOnZoom: false,
    serialize: false
  })
  widget.serialize = false

  const show = (report) => {
    const faces = report?.faces ?? []
    list.replaceChildren(...faces.map(card))
    const warnings = (report?.warnings ?? []).map((warning) =>
      make('div', 'idpatch-warning', warning)
    )
    const hint =
      faces.length || warnings.length
        ? []
        : [make('div', 'idpatch-hint', 'The faces that it takes are shown here after a run.')]
    notes.replaceChildren(...warnings, ...hint)
  }

  let place = null
  let observer = null
  let frame = 0
  const connect = () => {
    observer ??= new ResizeObserver(() => node.graph?.setDirtyCanvas?.(true, true))
    observer.observe(inner)
    frame ||= requestAnimationFrame(() => {
      frame = 0
      if (!node.graph) return
      place = `${node.graph.rootGraph?.id}/${locator(node)}`
      show(app.nodeOutputs?.[locator(node)]?.idpatch_faces?.[0])
      takeOver(element, elements.get(place))
      elements.delete(place)
    })
  }
  const disconnect = () => {
    observer?.disconnect()
    observer = null
    cancelAnimationFrame(frame)
    frame = 0
    if (!place) return
    elements.set(place, element)
    // Long enough for undo to make the node anew; then let go.
    setTimeout(() => elements.get(place) === element && elements.delete(place), 5000)
  }
  chain(node, 'onAdded', connect)
  chain(node, 'onRemoved', disconnect)
  chain(node, 'onExecuted', (output) => show(output?.idpatch_faces?.[0]))

  // The same pictures without names would follow below: the classic renderer draws them here,
  // Nodes 2.0 asks for this property, and its first versions show what is among the outputs.
  node.onDrawBackground = () => {}
  node.hideOutputImages = true
  chain(node, 'onExecuted', (output) => {
    if (output?.images) output.images = []
  })
}
