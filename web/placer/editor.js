// The editor: one element with toolbar, stage, list of people and messages. It knows the DOM and
// nothing of ComfyUI; what it shows comes in through `load` and `show`, what a person does goes
// out through `host.write`.

import { colourOf, draw, tokenRadius } from './draw.js'
import {
  ARRANGEMENTS,
  clampInside,
  contain,
  drag,
  fromView,
  hitTest,
  isInside,
  leftToRight,
  overlapping,
  toView
} from './geometry.js'
import { icon } from './icons.js'
import {
  changed,
  EMPTY_SCENE,
  everybody,
  findings,
  keepPixels,
  movedTo,
  nameOf,
  placeOfReturn,
  pointsOf,
  read,
  reordered,
  standing,
  targetsOf,
  write
} from './standing.js'
import { amend, canRedo, canUndo, follow, now, record, startHistory, step } from './state.js'

const MARGIN = 12 // view pixels around the picture, for those who stand at its edge
const REACH = 14 // view pixels within which a target attracts
const LEAST_WIDTH = 140 // page pixels; no node that is shown is narrower
const DENSEST = 3 // canvas pixels for each pixel of the page
const HELP =
  'Tab chooses a person, arrow keys move them by 1 pixel and with Shift by 10, Delete takes ' +
  'them off the canvas and Enter puts them back, Escape leaves the canvas.'

const ACTIONS = [
  ['undo', 'Undo'],
  ['redo', 'Redo'],
  null,
  ['row', 'Arrange in a row'],
  ['two_rows', 'Arrange in two rows'],
  ['arc', 'Arrange in an arc'],
  null,
  ['left_to_right', 'Assign left to right: give the places, or the found poses, in order'],
  ['swap', 'Swap two people'],
  ['snap', 'Snap to found poses and faces'],
  null,
  ['off', 'Take off the canvas, or put back'],
  ['reset', 'Reset to automatic places'],
  ['text', 'Show the places as text']
]

function make(tag, className, attributes = {}, ...children) {
  const element = document.createElement(tag)
  if (className) element.className = className
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** Puts the children in unless equal ones are there; says whether it did. */
function replaceChildren(parent, children) {
  const same =
    parent.children.length === children.length &&
    children.every((child, index) => child.isEqualNode(parent.children[index]))
  if (!same) parent.replaceChildren(...children)
  return !same
}

export class PlacerEditor {
  /**
   * `host.write(text)` stores a new text, as a step of its own unless between `host.begin()` and
   * `host.end()`; `host.wheel(event)` and `host.pan(event)` hand events that mean the graph to
   * it, `host.panning()` says whether all do; `host.grown()` is called when the height that is
   * needed changed.
   */
  constructor(host) {
    this.host = host
    this.scene = EMPTY_SCENE
    this.text = ''
    this.state = read('', this.scene)
    this.history = startHistory('')
    this.selected = -1
    this.hovered = -1
    this.dragged = null
    this.swapping = null // null, or {first} while two people are being chosen
    this.snapping = true
    this.lost = -Infinity // when the stage lost the focus to nothing
    this.frame = 0
    this.draws = 0 // frames drawn since the start, for tests of idleness
    this.pictures = new Map()
    this.build()
    this.refresh()
  }

  // ---- elements

  build() {
    this.buttons = {}
    this.toolbar = make('div', 'idpatch-toolbar', { role: 'toolbar', 'aria-label': 'Placing' })
    let group = this.toolbar.appendChild(make('span', 'idpatch-group'))
    for (const action of ACTIONS) {
      if (!action) {
        group = this.toolbar.appendChild(make('span', 'idpatch-group'))
        continue
      }
      const [id, label] = action
      const button = make('button', 'idpatch-button', { type: 'button', 'aria-label': label })
      button.title = label
      button.dataset.action = id
      button.append(icon(id))
      this.buttons[id] = group.appendChild(button)
    }
    this.canvas = make('canvas', 'idpatch-canvas', { 'aria-hidden': 'true' })
    this.stage = make(
      'div',
      'idpatch-stage',
      { tabindex: '0', role: 'application', 'aria-roledescription': 'places in the picture' },
      this.canvas
    )
    this.people = make('div', 'idpatch-people', { role: 'group', 'aria-label': 'People' })
    this.messages = make('div', 'idpatch-messages', { role: 'status' })
    this.textarea = make('textarea', 'idpatch-text', {
      'aria-label': 'Places as JSON',
      spellcheck: 'false',
      placeholder: 'Empty: placed automatically. Or [{"x": 412, "y": 230}, null]'
    })
    this.textarea.hidden = true
    this.spoken = make('div', 'idpatch-spoken', { 'aria-live': 'assertive' })
    this.element = make(
      'div',
      'idpatch-placer',
      { role: 'group', 'aria-label': 'Patch Placer' },
      this.toolbar,
      this.stage,
      this.people,
      this.messages,
      this.textarea,
      this.spoken
    )
    this.context = this.canvas.getContext('2d')
    this.listen()
  }

  listen() {
    // On elements of our own only: nothing outlives the element.
    const { element, stage, toolbar, people, messages, textarea } = this
    // Below us lies the node, which would be dragged along. A press that began elsewhere, such as
    // a link that is being drawn, is not ours to stop.
    let pressed = false
    for (const type of ['pointerdown', 'pointermove', 'pointerup']) {
      element.addEventListener(type, (event) => {
        if (this.meansGraph(event)) return this.host.pan(event)
        if (type === 'pointerdown') pressed = true
        if (pressed) event.stopPropagation()
        if (type === 'pointerup') pressed = false
      })
    }
    element.addEventListener('pointercancel', () => (pressed = false))
    element.addEventListener('dblclick', (event) => event.stopPropagation())
    element.addEventListener('wheel', (event) => this.wheel(event), { passive: false })
    stage.addEventListener('pointerdown', (event) => this.pointerDown(event))
    stage.addEventListener('pointermove', (event) => this.pointerMove(event))
    stage.addEventListener('pointerup', (event) => this.pointerUp(event))
    stage.addEventListener('pointercancel', () => this.cancelDrag())
    stage.addEventListener('lostpointercapture', () => this.cancelDrag())
    stage.addEventListener('pointerleave', () => this.hover(-1))
    stage.addEventListener('keydown', (event) => this.keyDown(event))
    stage.addEventListener('focus', () => this.focusStage())
    stage.addEventListener('keyup', () => this.host.end())
    stage.addEventListener('blur', (event) => {
      this.lost = event.relatedTarget ? -Infinity : performance.now()
      this.host.end()
      this.requestDraw()
    })
    const click = (event) => {
      const target = event.target.closest('[data-action], [data-person]')
      if (!target || target.disabled) return
      if (target.dataset.person) this.choose(Number(target.dataset.person), true)
      else this.act(target.dataset.action)
    }
    for (const part of [toolbar, people, messages]) part.addEventListener('click', click)
    people.addEventListener('pointerover', (event) => {
      const chip = event.target.closest('[data-person]')
      this.hover(chip ? Number(chip.dataset.person) : -1)
    })
    people.addEventListener('pointerleave', () => this.hover(-1))
    for (const part of [toolbar, people, messages, textarea]) {
      // Typing here is not a shortcut of the graph; its undo is.
      part.addEventListener('keydown', (event) => {
        const shortcut = event.ctrlKey || event.metaKey || event.altKey
        if (part === textarea || !shortcut) event.stopPropagation()
      })
    }
    textarea.addEventListener('change', () => this.commitText(textarea.value))
  }

  /** Starts watching sizes; `disconnect` ends it. */
  connect() {
    if (this.observer) return
    this.observer = new ResizeObserver(() => this.resized())
    for (const part of [this.stage, this.people, this.messages]) this.observer.observe(part)
  }

  disconnect() {
    this.observer?.disconnect()
    this.observer = null
    cancelAnimationFrame(this.frame)
    this.frame = 0
    this.cancelDrag()
    for (const picture of this.pictures.values()) picture.image.onload = null
    this.pictures.clear()
    this.ground = null
  }

  /** The height in page pixels of everything but the stage. */
  get chrome() {
    // Before it has its place on the page it has no width, and everything stands in one column.
    if (this.element.clientWidth < LEAST_WIDTH) return this.lastChrome ?? 80
    const parts = [this.toolbar, this.people, this.messages, this.textarea]
    const heights = parts.map((part) => part.offsetHeight).filter(Boolean)
    return heights.reduce((sum, height) => sum + height + 5, 10)
  }

  resized() {
    const chrome = this.chrome
    if (chrome !== this.lastChrome) {
      this.lastChrome = chrome
      this.host.grown()
    }
    this.requestDraw()
  }

  // ---- what comes in

  /** Takes over a text that somebody else wrote: opening a graph, its undo, another program. */
  load(text) {
    if (text === this.text) return
    this.text = text
    this.history = follow(this.history, text)
    this.state = read(typeof text === 'string' ? text : String(text), this.scene)
    this.cancelDrag()
    this.refresh()
  }

  /**
   * Shows what the graph says now.
   *
   * A new size moves nobody in pixels, as that is what the text says; with `rescale`, for a size
   * that a person just set, everybody keeps their share of the picture and the text is rewritten.
   */
  show(scene, { rescale = false } = {}) {
    const before = this.scene
    if (JSON.stringify(before) === JSON.stringify(scene)) return
    const resized = before.width !== scene.width || before.height !== scene.height
    this.scene = scene
    if (resized) {
      this.cancelDrag()
      const { madeFor } = this.state
      // Already of another size than its picture: a person has been asked what to do.
      const fits = !madeFor || (madeFor.width === before.width && madeFor.height === before.height)
      if (rescale && fits && this.state.places.length) {
        this.commit(write(this.state, scene), { places: this.state.places })
      } else {
        this.state = keepPixels(this.state, before, scene)
      }
    }
    this.refresh()
  }

  /** What another editor of the same node takes over, after the graph was read anew. */
  get memory() {
    const { history, selected, snapping, lost } = this
    const { activeElement, body } = document
    // The page may have taken the element away a moment before the node is removed.
    const justLost = activeElement === body && performance.now() - lost < 1000
    return { history, selected, snapping, focused: activeElement === this.stage || justLost }
  }

  /** Forgets how the present text came about: a graph was opened. */
  start() {
    this.history = startHistory(this.text)
    this.updateToolbar()
  }

  remember({ history, selected, snapping, focused }) {
    this.history = follow(history, this.text)
    this.snapping = snapping
    this.selected = selected
    this.refresh()
    if (focused) {
      // The renderer puts the element into the page a moment later.
      const until = performance.now() + 2000
      const focus = () => {
        if (document.activeElement && document.activeElement !== document.body) return
        if (this.stage.isConnected && this.stage.offsetParent) this.stage.focus()
        else if (this.observer && performance.now() < until) requestAnimationFrame(focus)
      }
      focus()
    }
  }

  // ---- what goes out

  /** Stores a new text, as one step of everybody's undo. */
  commit(text, { history = record(this.history, text), places = null } = {}) {
    if (text === this.text) return
    this.text = text
    this.history = history
    this.state = read(text, this.scene)
    // Those that only moved with the size keep the digits that the text rounds away.
    if (places) this.state = { ...this.state, places }
    this.host.write(text)
    this.refresh()
  }

  commitText(text) {
    this.commit(text)
    if (this.textarea.value !== this.text) this.textarea.value = this.text
  }

  commitPlaces(places, amending = false) {
    const text = write({ places, extra: this.state.extra }, this.scene)
    this.commit(text, amending ? { history: amend(this.history, text) } : {})
  }

  commitChanges(changes, amending = false) {
    this.commitPlaces(changed(this.entries, changes, this.scene), amending)
  }

  // ---- what is there

  get locked() {
    return Boolean(this.state.problem || this.scene.locked)
  }

  /** Brings everything but the canvas up to date, and asks for a frame. */
  refresh() {
    this.entries = everybody(this.state, this.scene)
    if (this.selected >= this.entries.length) this.selected = -1
    if (this.hovered >= this.entries.length) this.hovered = -1
    this.findings = findings(this.state, this.entries, this.scene, this.pictureSize())
    const { width, height, patchSize, heads } = this.scene
    const points = pointsOf(this.entries)
    this.overlaps = new Set(overlapping(points, width, height, patchSize, heads).flat())
    this.loadPictures()
    this.updateToolbar()
    this.updatePeople()
    this.updateMessages()
    if (document.activeElement !== this.textarea) this.textarea.value = this.text
    this.textarea.classList.toggle('idpatch-wrong', Boolean(this.state.problem))
    const number = standing(this.entries).length
    const people = number === 1 ? '1 person' : `${number} people`
    this.stage.setAttribute('aria-label', `Places of ${people} in the picture. ${HELP}`)
    this.stage.style.aspectRatio = `${this.scene.width} / ${this.scene.height}`
    this.requestDraw()
  }

  updateToolbar() {
    const { buttons, entries, locked, scene } = this
    const several = standing(entries).length > 1
    const nobody = locked || entries.length === 0
    const enable = (id, enabled) => (buttons[id].disabled = !enabled)
    enable('undo', !scene.locked && canUndo(this.history))
    enable('redo', !scene.locked && canRedo(this.history))
    for (const id of Object.keys(ARRANGEMENTS)) enable(id, !nobody)
    enable('left_to_right', !nobody && (several || targetsOf(scene).length > 0))
    enable('swap', !nobody && several)
    enable('snap', targetsOf(scene).length > 0)
    enable('off', !nobody && this.selected >= 0)
    enable('reset', !scene.locked && this.text !== '')
    enable('text', true)
    buttons.swap.setAttribute('aria-pressed', String(Boolean(this.swapping)))
    buttons.snap.setAttribute('aria-pressed', String(this.snapping))
    buttons.text.setAttribute('aria-pressed', String(!this.textarea.hidden))
  }

  updatePeople() {
    const { activeElement } = document
    const focused = this.people.contains(activeElement) ? activeElement.dataset.person : null
    const chips = this.entries.map((entry) => this.chip(entry))
    if (!replaceChildren(this.people, chips) || focused === null) return
    this.people.querySelector(`[data-person="${focused}"]`)?.focus()
  }

  chip(entry) {
    const { index, place, point, origin } = entry
    const off = !place.placed
    const state =
      origin === 'surplus' ? 'nobody' : off ? 'off the canvas' : origin === 'missing' ? 'new' : ''
    const where = point && !off ? `${Math.round(point.x)}, ${Math.round(point.y)}` : ''
    const label = [`${index + 1}: ${nameOf(entry)}`, state, where].filter(Boolean).join(', ')
    const chip = make('button', 'idpatch-person', {
      type: 'button',
      'aria-label': label,
      'aria-pressed': String(index === this.selected),
      'data-person': String(index),
      title: off ? `${label}. Click to choose, Enter to put back` : label
    })
    chip.style.setProperty('--person', colourOf(index))
    chip.classList.toggle('idpatch-off', off || origin === 'surplus')
    const crop = this.scene.crops[index]
    const disc = make('span', 'idpatch-disc', {}, crop ? '' : String(index + 1))
    if (crop) disc.style.backgroundImage = `url("${crop}")`
    const name = make('span', 'idpatch-name')
    if (crop) name.append(make('b', '', {}, String(index + 1)))
    const known = origin === 'surplus' ? 'nobody' : entry.name
    if (known) name.append(crop ? ` ${known}` : known)
    chip.append(disc, name)
    return chip
  }

  updateMessages() {
    const items = this.findings.map(({ level, text, actions }) => {
      const item = make('div', `idpatch-message idpatch-${level}`)
      item.append(icon(level), make('span', 'idpatch-said', {}, text))
      for (const { id, label } of actions) {
        const button = make('button', 'idpatch-action', { type: 'button' }, label)
        button.dataset.action = id
        item.append(button)
      }
      return item
    })
    if (this.swapping) {
      const first = this.entries[this.swapping.first]
      const hint = first
        ? `Choose who changes places with ${nameOf(first)}.`
        : 'Choose the first of two people to swap.'
      items.unshift(
        make('div', 'idpatch-message idpatch-info', {}, icon('swap'), make('span', '', {}, hint))
      )
    }
    replaceChildren(this.messages, items)
    this.messages.hidden = items.length === 0
  }

  say(text) {
    this.spoken.textContent = text
  }

  describe(index) {
    const entry = this.entries[index]
    if (!entry) return ''
    const { place, point } = entry
    const where =
      place.placed && point ? `at ${Math.round(point.x)}, ${Math.round(point.y)}` : 'off the canvas'
    return `${index + 1}, ${nameOf(entry)}, ${where}`
  }

  // ---- pictures

  loadPictures() {
    const wanted = new Set([this.scene.background, ...this.scene.crops].filter(Boolean))
    for (const [url, picture] of this.pictures) {
      if (wanted.has(url)) continue
      picture.image.onload = null
      this.pictures.delete(url)
    }
    for (const url of wanted) {
      if (this.pictures.has(url)) continue
      const picture = { image: new Image(), ready: false }
      this.pictures.set(url, picture)
      picture.image.onload = () => {
        picture.ready = true
        if (url === this.scene.background) this.refresh()
        this.requestDraw()
      }
      picture.image.src = url
    }
  }

  picture(url) {
    const picture = url && this.pictures.get(url)
    return picture?.ready ? picture.image : null
  }

  /** The size of the picture behind the people, or null. */
  pictureSize() {
    const image = this.picture(this.scene.background)
    return image && { width: image.naturalWidth, height: image.naturalHeight }
  }

  /** The background at the size it is shown in: scaled once, not in every frame. */
  background(width, height) {
    const image = this.picture(this.scene.background)
    if (!image) return null
    const { ground } = this
    if (ground?.image === image && ground.canvas.width === width && ground.canvas.height === height)
      return ground.canvas
    const canvas = document.createElement('canvas')
    canvas.width = width
    canvas.height = height
    const context = canvas.getContext('2d')
    context.imageSmoothingQuality = 'high'
    context.drawImage(image, 0, 0, width, height)
    this.ground = { image, canvas }
    return canvas
  }

  // ---- drawing

  requestDraw() {
    if (this.frame || !this.observer) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      this.draw()
    })
  }

  /** The stage's size and how the picture lies in it, in pixels of the page before zooming. */
  measure() {
    const [boxWidth, boxHeight] = [this.stage.clientWidth, this.stage.clientHeight]
    const view = contain(this.scene.width, this.scene.height, boxWidth, boxHeight, MARGIN)
    return { boxWidth, boxHeight, view }
  }

  draw() {
    const { boxWidth, boxHeight, view } = this.measure()
    if (!boxWidth || !boxHeight) return
    this.draws += 1
    const zoom = this.canvas.getBoundingClientRect().width / (this.canvas.clientWidth || 1) || 1
    const density = Math.min(Math.max(devicePixelRatio * Math.max(zoom, 1), 1), DENSEST)
    const [width, height] = [Math.round(boxWidth * density), Math.round(boxHeight * density)]
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width
      this.canvas.height = height
    }
    const { scene } = this
    const wide = Math.max(Math.round(scene.width * view.scale * density), 1)
    const high = Math.max(Math.round(scene.height * view.scale * density), 1)
    draw(this.context, {
      view,
      density,
      boxWidth,
      boxHeight,
      width: scene.width,
      height: scene.height,
      patchSize: scene.patchSize,
      heads: scene.heads,
      background: this.background(wide, high),
      targets: targetsOf(scene),
      reached: this.dragged?.moved ? toView(view, this.dragged.point) : null,
      people: this.drawnPeople(view, boxWidth, boxHeight)
    })
  }

  drawnPeople(view, boxWidth, boxHeight) {
    const focused = document.activeElement === this.stage
    const people = this.shownPoints().flatMap((point, index) => {
      if (!point) return []
      const entry = this.entries[index]
      const selected = index === this.selected
      const moving = this.dragged?.index === index
      const labelled = index === this.hovered || moving || (selected && focused)
      return {
        index,
        place: point,
        point: this.intoSight(point, view, boxWidth, boxHeight),
        colour: colourOf(index),
        number: index + 1,
        crop: this.picture(this.scene.crops[index]),
        ghost: entry.origin !== 'text' || this.locked,
        selected,
        marked: this.swapping?.first === index,
        alarm: this.overlaps.has(index),
        label: labelled ? `${nameOf(entry)} · ${Math.round(point.x)}, ${Math.round(point.y)}` : null
      }
    })
    const last = this.dragged?.index ?? this.selected
    return people.sort((a, b) => (a.index === last) - (b.index === last))
  }

  /** Somebody outside the picture is shown at the stage's edge, so that they can be taken back. */
  intoSight(point, view, boxWidth, boxHeight) {
    const { width, height, patchSize } = this.scene
    if (isInside(point, width, height)) return point
    const radius = tokenRadius(view, patchSize) + 2
    const seen = toView(view, point)
    return fromView(view, {
      x: Math.min(Math.max(seen.x, radius), boxWidth - radius),
      y: Math.min(Math.max(seen.y, radius), boxHeight - radius)
    })
  }

  /** Where everybody is shown now, also in the middle of a drag; null for who is off. */
  shownPoints() {
    const points = pointsOf(this.entries)
    if (this.dragged) points[this.dragged.index] = this.dragged.point
    return points
  }

  // ---- pointer

  /** Whether a pointer's event is for the graph: panning with the middle button or the space bar. */
  meansGraph(event) {
    return event.button === 1 || (event.buttons & 4) !== 0 || this.host.panning()
  }

  /** Where an event is: in output pixels, and in pixels of the page before zooming. */
  at(event, { view } = this.measure()) {
    const rect = this.canvas.getBoundingClientRect()
    const zoom = rect.width / (this.canvas.clientWidth || 1) || 1
    const seen = { x: (event.clientX - rect.left) / zoom, y: (event.clientY - rect.top) / zoom }
    return { view, point: fromView(view, seen) }
  }

  personAt({ view, point }) {
    const { boxWidth, boxHeight } = this.measure()
    const points = this.shownPoints().map(
      (shown) => shown && this.intoSight(shown, view, boxWidth, boxHeight)
    )
    const reach = (tokenRadius(view, this.scene.patchSize) + 3) / view.scale
    return hitTest(points, point, reach, this.selected)
  }

  pointerDown(event) {
    if (event.button !== 0 || this.dragged || this.meansGraph(event)) return
    event.preventDefault()
    this.stage.focus({ preventScroll: true })
    const at = this.at(event)
    const index = this.personAt(at)
    if (this.swapping) {
      if (index >= 0) this.chooseForSwap(index)
      return
    }
    this.select(index)
    if (index < 0 || this.locked) return
    const start = this.shownPoints()[index]
    this.dragged = { index, id: event.pointerId, start, from: at.point, point: start, moved: false }
    this.stage.setPointerCapture(event.pointerId)
    this.stage.classList.add('idpatch-dragging')
    this.requestDraw()
  }

  pointerMove(event) {
    const { dragged } = this
    if (!dragged) {
      if (event.buttons === 0) this.hover(this.personAt(this.at(event)))
      return
    }
    if (event.pointerId !== dragged.id) return
    const { view, point } = this.at(event)
    const free = Math.hypot(point.x - dragged.from.x, point.y - dragged.from.y) * view.scale
    if (!dragged.moved && free < 2) return
    dragged.moved = true
    const { width, height } = this.scene
    const targets = this.snapping && !event.altKey ? targetsOf(this.scene) : []
    dragged.point = drag(dragged.start, dragged.from, point, {
      width,
      height,
      targets,
      reach: REACH / view.scale
    })
    this.requestDraw()
  }

  pointerUp(event) {
    const { dragged } = this
    if (!dragged || event.pointerId !== dragged.id) return
    this.endDrag()
    if (dragged.moved) {
      this.commitChanges({ [dragged.index]: { point: dragged.point } })
      this.say(this.describe(dragged.index))
    }
  }

  endDrag() {
    const { dragged } = this
    this.dragged = null
    this.stage.classList.remove('idpatch-dragging')
    if (dragged && this.stage.hasPointerCapture?.(dragged.id)) {
      this.stage.releasePointerCapture(dragged.id)
    }
    this.requestDraw()
  }

  cancelDrag() {
    if (this.dragged) this.endDrag()
  }

  hover(index) {
    if (this.hovered === index) return
    this.hovered = index
    this.stage.classList.toggle('idpatch-over', index >= 0 && !this.locked)
    this.requestDraw()
  }

  wheel(event) {
    const { textarea, messages } = this
    for (const part of [textarea, messages]) {
      if (part.contains(event.target) && part.scrollHeight > part.clientHeight && !event.ctrlKey) {
        event.stopPropagation()
        return
      }
    }
    this.host.wheel(event)
  }

  // ---- keys

  focusStage() {
    if (this.selected < 0) this.select(this.shownPoints().findIndex(Boolean))
    this.requestDraw()
  }

  keyDown(event) {
    if (event.ctrlKey || event.metaKey) return // the graph's shortcuts, undo and redo among them
    const step = event.shiftKey ? 10 : 1
    const moves = {
      ArrowLeft: { x: -step, y: 0 },
      ArrowRight: { x: step, y: 0 },
      ArrowUp: { x: 0, y: -step },
      ArrowDown: { x: 0, y: step }
    }
    const { key } = event
    if (key in moves) this.nudge(moves[key], event.repeat)
    else if (key === 'Tab') this.cycle(event.shiftKey ? -1 : 1)
    else if (key === 'Delete' || key === 'Backspace') this.takeOff(this.selected)
    else if (key === 'Enter' || key === ' ') this.enter()
    else if (key === 'Escape') this.escape()
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  nudge(by, held) {
    const point = this.shownPoints()[this.selected]
    if (this.locked || this.dragged || !point) return
    const { width, height } = this.scene
    const to = clampInside({ x: point.x + by.x, y: point.y + by.y }, width, height)
    this.host.begin() // a key that is held is one step; it ends with keyup
    this.commitChanges({ [this.selected]: { point: to } }, held)
    this.say(this.describe(this.selected))
  }

  cycle(by) {
    const { length } = this.entries
    if (!length || this.dragged) return
    const from = this.selected < 0 ? (by > 0 ? -1 : 0) : this.selected
    this.select((from + by + length) % length)
    this.say(this.describe(this.selected))
  }

  enter() {
    if (this.swapping) this.chooseForSwap(this.selected)
    else if (this.entries[this.selected]?.place.placed === false) this.putBack([this.selected])
  }

  escape() {
    if (this.dragged) this.cancelDrag()
    else if (this.swapping) this.stopSwap()
    else {
      this.select(-1)
      this.stage.blur()
      this.lost = -Infinity
    }
  }

  // ---- actions

  act(id) {
    const { scene, state } = this
    if (id === 'undo' || id === 'redo') {
      const history = step(this.history, id === 'undo' ? -1 : 1)
      this.commit(now(history), { history })
    } else if (id in ARRANGEMENTS) {
      this.arrange(id)
    } else if (id === 'left_to_right') {
      this.commitChanges(movedTo(leftToRight(pointsOf(this.entries), targetsOf(scene))))
    } else if (id === 'swap') {
      if (this.swapping) this.stopSwap()
      else this.startSwap()
    } else if (id === 'snap') {
      this.snapping = !this.snapping
      this.updateToolbar()
    } else if (id === 'off') {
      if (this.entries[this.selected]?.place.placed) this.takeOff(this.selected)
      else this.putBack([this.selected])
    } else if (id === 'reset') {
      this.commitText('')
    } else if (id === 'text') {
      this.textarea.hidden = !this.textarea.hidden
      this.updateToolbar()
      this.resized()
      if (!this.textarea.hidden) this.textarea.focus()
    } else if (id === 'complete') {
      this.commitChanges({})
    } else if (id === 'trim') {
      this.commitPlaces(changed(this.entries, {}, scene).slice(0, scene.count))
    } else if (id === 'inside') {
      const inside = (point) => point && clampInside(point, scene.width, scene.height)
      this.commitChanges(movedTo(pointsOf(this.entries).map(inside)))
    } else if (id === 'scale') {
      this.commit(write(keepPixels(state, scene, state.madeFor), scene))
    } else if (id === 'keep') {
      this.commit(write(state, scene))
    } else if (id === 'follow') {
      const order = reordered(state, scene)
      this.commitPlaces(order.map((from) => state.places[from]))
    } else if (id === 'rename') {
      this.commitChanges({})
    } else if (id === 'return') {
      this.putBack(this.entries.filter(({ place }) => !place.placed).map(({ index }) => index))
    }
  }

  arrange(id) {
    const { scene } = this
    const present = standing(this.entries).map(({ index }) => index)
    const points = ARRANGEMENTS[id](present.length, scene.width, scene.height, scene.patchSize)
    this.commitChanges(
      Object.fromEntries(present.map((index, nth) => [index, { point: points[nth] }]))
    )
  }

  takeOff(index) {
    if (this.locked || !this.entries[index]?.place.placed) return
    this.commitChanges({ [index]: { placed: false } })
    this.say(this.describe(index))
  }

  putBack(indices) {
    if (this.locked) return
    const changes = indices.map((index) => [
      index,
      { placed: true, point: placeOfReturn(this.entries[index], this.entries, this.scene) }
    ])
    this.commitChanges(Object.fromEntries(changes))
  }

  startSwap() {
    const chosen = this.shownPoints()[this.selected]
    this.swapping = { first: chosen ? this.selected : -1 }
    this.refresh()
    this.stage.focus({ preventScroll: true })
  }

  stopSwap() {
    this.swapping = null
    this.refresh()
  }

  chooseForSwap(index) {
    const points = this.shownPoints()
    if (!points[index]) return
    const { first } = this.swapping
    if (!points[first]) {
      this.swapping = { first: index }
      this.select(index)
      return
    }
    this.swapping = null
    if (index === first) return this.refresh()
    this.commitChanges({ [first]: { point: points[index] }, [index]: { point: points[first] } })
    this.say(`${nameOf(this.entries[first])} and ${nameOf(this.entries[index])} changed places`)
  }

  choose(index, focus) {
    if (this.swapping) this.chooseForSwap(index)
    else this.select(index)
    if (focus) this.stage.focus({ preventScroll: true })
  }

  select(index) {
    this.selected = index
    this.refresh()
  }
}
