// The stage: a canvas with the image and the people, and pointer events on it.

import { make } from '../dom.js'
import { colourOf, draw, markerRadius } from './draw.js'
import { nameOf, pointsOf } from './entries.js'
import { moveAll, previewChanges, skeletonsToDraw } from './entry_bodies.js'
import { contain, drag, fromStage, hitTest, toStage } from './geometry.js'
import { EMPTY_GRAPH_STATE, targetsOf } from './graph_state.js'
import { boxOnStage, dragHandle, findHandle, handlesOf } from './handles.js'
import { linesOf, linesThrough } from './image_lines.js'
import { Images } from './images.js'
import { isInside } from './layout.js'
import { groupOf, isAdding, shiftTogether } from './selection.js'
import { SkeletonLayers } from './skeleton_layers.js'

/**
 * @import { Body } from './bodies.js'
 * @import { Handles, PersonView } from './draw.js'
 * @import { Changes, Entry } from './entries.js'
 * @import { Size, Viewport } from './geometry.js'
 * @import { GraphState } from './graph_state.js'
 * @import { Handle } from './handles.js'
 * @import { Point } from './layout.js'
 * @import { Points } from './selection.js'
 *
 * @typedef {object} StageState  what the stage shows
 * @property {GraphState} graph
 * @property {Entry[]} entries
 * @property {Set<number>} overlaps  the people whose patches overlap
 * @property {number[]} selection  the one selected last at the end
 * @property {number} marked  the first of two people to swap
 * @property {boolean} locked
 * @property {boolean} snapping
 *
 * @typedef {object} StageHost
 * @property {(index: number, adding: boolean) => boolean} press
 *   a person, or -1; returns whether a drag may begin
 * @property {(index: number) => void} click  a person, who was not dragged
 * @property {(points: Points) => void} move
 * @property {(index: number, body: Body | null) => void} shape  of a person's body
 * @property {() => void} mirror  the selected person's body
 * @property {(event: PointerEvent) => boolean} isForGraph
 * @property {() => void} backgroundLoaded
 *
 * @typedef {object} Drag
 * @property {number} index
 * @property {number[]} group  the people who move along, and the person
 * @property {boolean} adding  whether the press added to the selection
 * @property {number} pointer
 * @property {Point} start  where the person was
 * @property {Point} from  where the pointer was
 * @property {Point} point  where the person is now
 * @property {Handle | null} handle  of the body that is dragged, in place of the person
 * @property {Point} at  where the pointer is on the stage
 * @property {boolean} moved
 */

const MARGIN = 12 // page pixels around the image, for people at its edge
const REACH = 14 // page pixels within which a target attracts
const LEAST_MOVE = 2 // page pixels; a shorter way is a click
const DENSEST = 3 // canvas pixels for each page pixel
const HELP =
  'Tab selects a person and Control A all, arrow keys move them by 1 pixel and with Shift by 10, ' +
  'Delete takes them off the canvas and Enter puts them back, plus and minus scale their body and ' +
  'M mirrors it, Escape leaves the canvas.'

export class Stage {
  /** @param {StageHost} host */
  constructor(host) {
    this.host = host
    /** @type {StageState} */
    this.state = {
      graph: EMPTY_GRAPH_STATE,
      entries: [],
      overlaps: new Set(),
      selection: [],
      marked: -1,
      locked: false,
      snapping: true
    }
    /** @type {Drag | null} */
    this.drag = null
    this.pressing = false // while a press gives the stage the focus
    this.hovered = -1
    this.connected = false
    this.frame = 0
    this.layers = new SkeletonLayers()
    this.images = new Images((url) => {
      if (url === this.state.graph.background) host.backgroundLoaded()
      this.requestDraw()
    })
    this.canvas = make('canvas', 'idpatch-canvas', { 'aria-hidden': 'true' })
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'))
    const attributes = {
      tabindex: '0',
      role: 'application',
      'aria-roledescription': 'placements in the image'
    }
    this.element = make('div', 'idpatch-stage', attributes, this.canvas)
    this.listen()
  }

  listen() {
    const { element } = this
    element.addEventListener('pointerdown', (event) => this.pointerDown(event))
    element.addEventListener('pointermove', (event) => this.pointerMove(event))
    element.addEventListener('pointerup', (event) => this.pointerUp(event))
    element.addEventListener('pointercancel', () => this.endDrag())
    element.addEventListener('lostpointercapture', () => this.endDrag())
    element.addEventListener('pointerleave', () => this.hover(-1))
  }

  connect() {
    this.connected = true
  }

  disconnect() {
    this.connected = false
    cancelAnimationFrame(this.frame)
    this.frame = 0
    this.endDrag()
    this.images.clear()
    this.layers.clear()
  }

  /** @param {StageState} state */
  update(state) {
    const number = this.state.entries.length
    this.state = state
    const { graph, entries, locked } = state
    // Who is dragged may be gone, or someone else may have their number now.
    if (entries.length !== number || locked) this.endDrag()
    if (this.hovered >= entries.length) this.hovered = -1
    const { background, reference, crops } = graph
    this.images.load([background, reference, ...crops].filter((url) => url !== null))
    const count = pointsOf(entries).filter(Boolean).length
    const people = count === 1 ? '1 person' : `${count} people`
    this.element.setAttribute('aria-label', `Placements of ${people} in the image. ${HELP}`)
    this.element.style.aspectRatio = `${graph.width} / ${graph.height}`
    this.requestDraw()
  }

  /** Where each person is shown now, also in the middle of a drag; null for who is off. */
  get points() {
    const points = pointsOf(this.state.entries)
    const { dragged } = this
    return dragged ? points.map((point, index) => dragged[index] ?? point) : points
  }

  /** Where a drag has brought people, null for who is not dragged. */
  get dragged() {
    if (!this.drag || this.drag.handle) return null
    const { group, index, point } = this.drag
    const { entries, graph } = this.state
    return shiftTogether(pointsOf(entries), group, index, point, graph)
  }

  /** The person who was selected last, or -1. */
  get selected() {
    return this.state.selection.at(-1) ?? -1
  }

  /** Where the people are who are not dragged. */
  get others() {
    const points = pointsOf(this.state.entries)
    const { group = [] } = this.drag ?? {}
    return points.flatMap((point, index) => (point && !group.includes(index) ? [point] : []))
  }

  /**
   * What a drag would change if it ended now.
   * @returns {Changes | null}
   */
  get pending() {
    if (!this.drag?.moved) return null
    const { index, handle, at } = this.drag
    const { entries, graph } = this.state
    if (!handle) return moveAll(entries, this.dragged ?? [], graph)
    const body = dragHandle(entries[index], handle, at, this.measure().viewport, graph)
    return { [index]: { body } }
  }

  /** The people as they would be if a drag ended now. */
  get shown() {
    const { entries, graph } = this.state
    const { pending } = this
    return pending ? previewChanges(entries, pending, graph) : entries
  }

  // ---- drawing

  requestDraw() {
    if (this.frame || !this.connected) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      this.draw()
    })
  }

  /** The stage's size and where the image is in it, in page pixels before zooming. */
  measure() {
    const box = { width: this.element.clientWidth, height: this.element.clientHeight }
    return { box, viewport: contain(this.state.graph, box, MARGIN) }
  }

  /** How much larger the canvas is on the page than its own width. */
  get zoom() {
    return this.canvas.getBoundingClientRect().width / (this.canvas.clientWidth || 1) || 1
  }

  draw() {
    const { box, viewport } = this.measure()
    if (!box.width || !box.height) return
    const density = Math.min(Math.max(devicePixelRatio * Math.max(this.zoom, 1), 1), DENSEST)
    const [width, height] = [Math.round(box.width * density), Math.round(box.height * density)]
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width
      this.canvas.height = height
    }
    const { graph } = this.state
    const { shown } = this
    const people = skeletonsToDraw(shown, graph)
    const dragged = this.drag?.moved && !this.drag.handle ? this.drag.point : null
    const scaled = (/** @type {number} */ side) =>
      Math.max(Math.round(side * viewport.scale * density), 1)
    draw(this.context, {
      viewport,
      density,
      box,
      width: graph.width,
      height: graph.height,
      patchSize: graph.patchSize,
      heads: graph.heads,
      background: this.images.scaled(graph.background, scaled(graph.width), scaled(graph.height)),
      reference: this.images.get(graph.reference),
      skeletons: this.layers.draw(people, graph.width, graph.height),
      handles: this.viewHandles(shown, viewport, box),
      targets: targetsOf(graph),
      guides: dragged ? this.guides : [],
      lines: dragged ? linesThrough(dragged, graph) : { x: [], y: [] },
      reached: dragged && toStage(viewport, dragged),
      people: this.viewPeople(viewport, box)
    })
  }

  /** The points of others that the dragged person is in line with. */
  get guides() {
    const { drag } = this
    if (!drag) return []
    return this.others.filter(
      ({ x, y }) => Math.round(x) === drag.point.x || Math.round(y) === drag.point.y
    )
  }

  /**
   * The handles of the selected person's body, where it can be changed.
   * @type {(entries: Entry[], viewport: Viewport, box: Size) => Handles | null}
   */
  viewHandles(entries, viewport, box) {
    const { selected } = this
    const { locked, graph } = this.state
    const entry = entries[selected]
    const around = entry && !locked ? boxOnStage(entry, viewport, box) : null
    if (!around) return null
    const handles = handlesOf(entry, viewport, box, markerRadius(viewport, graph.patchSize))
    return { box: around, handles, colour: colourOf(selected) }
  }

  /**
   * The people as they are drawn, the selected or dragged one on top.
   * @type {(viewport: Viewport, box: Size) => PersonView[]}
   */
  viewPeople(viewport, box) {
    const { graph, entries, overlaps, selection, marked, locked } = this.state
    const { selected } = this
    const focused = document.activeElement === this.element
    const people = this.points.flatMap((point, index) => {
      if (!point) return []
      const entry = entries[index]
      const labelled =
        index === this.hovered || index === this.drag?.index || (index === selected && focused)
      const position = `${Math.round(point.x)}, ${Math.round(point.y)}`
      return {
        index,
        point,
        shownAt: this.clampToStage(point, viewport, box),
        colour: colourOf(index),
        crop: this.images.get(graph.crops[index]),
        automatic: entry.origin !== 'text' || locked,
        selected: selection.includes(index),
        marked: index === marked,
        alarm: overlaps.has(index),
        hasBody: Boolean(entry.joints),
        label: labelled ? `${nameOf(entry)} · ${position}` : null
      }
    })
    const last = this.drag?.index ?? selected
    return people.sort((a, b) => Number(a.index === last) - Number(b.index === last))
  }

  /**
   * Shows a person outside the image at the stage's edge, so that they can be dragged back.
   * @type {(point: Point, viewport: Viewport, box: Size) => Point}
   */
  clampToStage(point, viewport, box) {
    const { width, height, patchSize } = this.state.graph
    if (isInside(point, width, height)) return point
    const radius = markerRadius(viewport, patchSize) + 2
    const { x, y } = toStage(viewport, point)
    return fromStage(viewport, {
      x: Math.min(Math.max(x, radius), box.width - radius),
      y: Math.min(Math.max(y, radius), box.height - radius)
    })
  }

  // ---- pointer

  /**
   * Where an event is, in pixels of the image.
   * @param {PointerEvent} event
   */
  locate(event) {
    const { viewport } = this.measure()
    const { left, top } = this.canvas.getBoundingClientRect()
    const x = (event.clientX - left) / this.zoom
    const y = (event.clientY - top) / this.zoom
    return { viewport, point: fromStage(viewport, { x, y }) }
  }

  /** @param {PointerEvent} event */
  findPerson(event) {
    const { viewport, point } = this.locate(event)
    const { box } = this.measure()
    const { graph } = this.state
    const points = this.points.map((shown) => shown && this.clampToStage(shown, viewport, box))
    const reach = (markerRadius(viewport, graph.patchSize) + 3) / viewport.scale
    return hitTest(points, point, reach, this.selected)
  }

  /** @param {PointerEvent} event */
  pointerDown(event) {
    if (event.button !== 0 || this.drag || this.host.isForGraph(event)) return
    event.preventDefault()
    this.pressing = true
    this.element.focus({ preventScroll: true })
    this.pressing = false
    const { viewport, point } = this.locate(event)
    let index = this.findPerson(event)
    const at = toStage(viewport, point)
    const { entries } = this.state
    const adding = isAdding(event)
    const handles = this.viewHandles(entries, viewport, this.measure().box)?.handles ?? []
    const handle = (index < 0 && findHandle(handles, at)) || null
    if (handle?.part === 'mirror') return this.host.mirror()
    if (handle) index = this.selected
    else if (!this.host.press(index, adding)) return
    const start = this.points[index]
    if (!start) return
    this.drag = {
      index,
      group: handle ? [index] : groupOf(this.state.selection, index),
      adding,
      pointer: event.pointerId,
      start,
      from: point,
      point: start,
      handle,
      at,
      moved: false
    }
    this.element.setPointerCapture(event.pointerId)
    this.element.classList.add('idpatch-dragging')
    this.requestDraw()
  }

  /** @param {PointerEvent} event */
  pointerMove(event) {
    if (!this.drag) {
      if (event.buttons === 0) this.hover(this.findPerson(event))
      return
    }
    if (event.pointerId !== this.drag.pointer) return
    const { viewport, point } = this.locate(event)
    const { start, from } = this.drag
    const way = Math.hypot(point.x - from.x, point.y - from.y) * viewport.scale
    if (!this.drag.moved && way < LEAST_MOVE) return
    this.drag.moved = true
    this.drag.at = toStage(viewport, point)
    if (this.drag.handle) return this.requestDraw()
    const { graph } = this.state
    const snapping = this.state.snapping && !event.altKey
    this.drag.point = drag(start, from, point, {
      width: graph.width,
      height: graph.height,
      targets: snapping ? targetsOf(graph) : [],
      others: snapping ? this.others : [],
      lines: snapping ? linesOf(graph) : undefined,
      reach: REACH / viewport.scale
    })
    this.requestDraw()
  }

  /** @param {PointerEvent} event */
  pointerUp(event) {
    if (!this.drag || event.pointerId !== this.drag.pointer) return
    const { index, handle, moved, adding } = this.drag
    const { pending, dragged } = this
    this.endDrag()
    if (moved && handle) this.host.shape(index, pending?.[index].body ?? null)
    else if (moved) this.host.move(dragged ?? [])
    else if (!handle && !adding) this.host.click(index)
  }

  /** Ends a drag where the person was before. */
  endDrag() {
    if (!this.drag) return
    const { pointer } = this.drag
    this.drag = null
    this.element.classList.remove('idpatch-dragging')
    if (this.element.hasPointerCapture?.(pointer)) this.element.releasePointerCapture(pointer)
    this.requestDraw()
  }

  /** @param {number} index */
  hover(index) {
    if (this.hovered === index) return
    this.hovered = index
    this.element.classList.toggle('idpatch-over', index >= 0 && !this.state.locked)
    this.requestDraw()
  }
}
