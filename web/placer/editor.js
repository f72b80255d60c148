// The editor of the placements: one element with panel and stage, and the rules of state and undo.
// It uses the DOM and nothing of ComfyUI: `load` and `show` give it what it shows, and it gives
// what the user does to `host.write`.

import { make } from '../dom.js'
import { act, enabledActions } from './actions.js'
import { chooseKind, mirrorSelected, setBody, setPatchStrength } from './body_actions.js'
import { applyChanges, areProvisional, listEntries, overlapsOf } from './entries.js'
import { listFindings } from './findings.js'
import { EMPTY_GRAPH_STATE } from './graph_state.js'
import { amend, currentText, follow, record, startHistory, step } from './history.js'
import { pressKey } from './keys.js'
import { describe, Panel } from './panel.js'
import { keepPixels, readState, writeState } from './placements.js'
import { PopOut } from './pop_out.js'
import { choosePerson, movePeople, pressPerson } from './selection_actions.js'
import { Stage } from './stage.js'

/**
 * @import { Changes, Entry } from './entries.js'
 * @import { Size } from './geometry.js'
 * @import { GraphState } from './graph_state.js'
 * @import { History } from './history.js'
 * @import { Placement } from './placements.js'
 *
 * @typedef {object} EditorHost
 * @property {(text: string) => void} write
 *   stores a new text, as a step of its own unless between `beginStep` and `endStep`
 * @property {() => void} beginStep
 * @property {() => void} endStep
 * @property {(event: WheelEvent) => void} wheel  gives an event to the graph
 * @property {(event: PointerEvent) => void} pan  gives an event to the graph
 * @property {() => boolean} isPanning  whether all pointer events are for the graph
 * @property {() => void} fitPose  gives the built-in pose the size of the image
 * @property {(kind: string) => void} chooseBodies  sets the node's choice of bodies
 * @property {(size: Size) => void} setSize  of the image, and of a built-in pose that fits it
 * @property {() => void} useReference  connects the base image as the reference image instead
 * @property {() => void} heightChanged  of everything but the stage
 *
 * @typedef {object} EditorMemory  what the next editor of the same node takes over
 * @property {History} history
 * @property {number[]} selection
 * @property {boolean} snapping
 * @property {boolean} focused
 */

const LEAST_WIDTH = 140 // page pixels; no node that is shown is narrower
const REFOCUS_TIME = 2000 // milliseconds within which the renderer puts an element into the page

export class PlacerEditor {
  /** @param {EditorHost} host */
  constructor(host) {
    this.host = host
    this.graph = EMPTY_GRAPH_STATE
    this.text = ''
    this.state = readState('', this.graph)
    this.history = startHistory('')
    /** @type {Entry[]} */
    this.entries = []
    /** @type {number[]} the indices of the selected people, the one selected last at the end */
    this.selection = []
    /** @type {number | null} the first of two people to swap, -1 before one is selected */
    this.swapping = null
    this.snapping = true
    this.blurredAt = -Infinity // when the stage lost the focus to nothing
    /** @type {ResizeObserver | null} */
    this.observer = null
    /** @type {number | undefined} the latest height of the panel */
    this.latestHeight = undefined
    this.panel = new Panel({
      act: (action) => act(this, action),
      choose: (index, event) => choosePerson(this, index, event),
      hover: (index) => this.stage.hover(index),
      write: (text) => this.commitText(text),
      chooseBody: (kind) => chooseKind(this, kind),
      setPatchStrength: (strength) => setPatchStrength(this, strength),
      setSize: (size) => this.host.setSize(size)
    })
    this.stage = new Stage({
      press: (index, adding) => pressPerson(this, index, adding),
      click: (index) => this.select(index),
      move: (points) => movePeople(this, points),
      shape: (index, body) => setBody(this, index, body),
      mirror: () => mirrorSelected(this),
      isForGraph: (event) => this.isForGraph(event),
      backgroundLoaded: () => this.refresh()
    })
    const { toolbar, people, settings, messages, textarea, announcement } = this.panel
    this.element = make(
      'div',
      'idpatch-placer',
      { role: 'group', 'aria-label': 'Patch Placer' },
      toolbar,
      this.stage.element,
      people,
      settings,
      messages,
      textarea,
      announcement
    )
    this.popOut = new PopOut(this.element, () => {
      this.updateToolbar()
      this.resized()
    })
    this.listen()
    this.refresh()
  }

  listen() {
    // Only on elements of the editor, so that nothing outlives it.
    const { element } = this
    const stage = this.stage.element
    // The node below must not be dragged along. A press that began elsewhere, such as on a link
    // that is being drawn, must not be stopped.
    let pressed = false
    for (const type of /** @type {const} */ (['pointerdown', 'pointermove', 'pointerup'])) {
      element.addEventListener(type, (event) => {
        if (this.isForGraph(event)) return this.host.pan(event)
        if (type === 'pointerdown') pressed = true
        if (pressed) event.stopPropagation()
        if (type === 'pointerup') pressed = false
      })
    }
    element.addEventListener('pointercancel', () => {
      pressed = false
    })
    element.addEventListener('dblclick', (event) => event.stopPropagation())
    element.addEventListener('wheel', (event) => this.wheel(event), { passive: false })
    stage.addEventListener('keydown', (event) => pressKey(this, event))
    stage.addEventListener('keyup', () => this.host.endStep())
    stage.addEventListener('focus', () => {
      const { points, pressing } = this.stage
      if (this.selected < 0 && !pressing) this.select(points.findIndex(Boolean))
      this.stage.requestDraw()
    })
    stage.addEventListener('blur', (event) => {
      this.blurredAt = event.relatedTarget ? -Infinity : performance.now()
      this.host.endStep()
      this.stage.requestDraw()
    })
  }

  /** Starts watching sizes; `disconnect` ends it. */
  connect() {
    if (this.observer) return
    this.observer = new ResizeObserver(() => this.resized())
    for (const part of [
      this.stage.element,
      this.panel.people,
      this.panel.settings,
      this.panel.messages
    ]) {
      this.observer.observe(part)
    }
    this.stage.connect()
  }

  disconnect() {
    this.popOut.close()
    this.observer?.disconnect()
    this.observer = null
    this.stage.disconnect()
  }

  /** The height in page pixels of everything but the stage. */
  get panelHeight() {
    // Before it is on the page it has no width, and everything is in one column.
    if (this.element.clientWidth < LEAST_WIDTH) return this.latestHeight ?? 80
    return this.panel.height
  }

  resized() {
    const height = this.panelHeight
    if (height !== this.latestHeight) {
      this.latestHeight = height
      this.host.heightChanged()
    }
    this.stage.requestDraw()
  }

  // ---- input

  /**
   * Shows a text that was not written here: that of a graph, or of ComfyUI's undo.
   * @param {unknown} text
   */
  load(text) {
    if (text === this.text) return
    this.text = /** @type {string} */ (text)
    this.history = follow(this.history, this.text)
    this.state = readState(typeof text === 'string' ? text : String(text), this.graph)
    this.stage.endDrag()
    this.refresh()
  }

  /**
   * Shows what the graph says now.
   *
   * A new size moves no one in pixels, the unit of the text. With `rescale`, for a size that the
   * user just set, people keep their normalised points and the text is rewritten.
   * @param {GraphState} graph
   */
  show(graph, { rescale = false } = {}) {
    const before = this.graph
    if (JSON.stringify(before) === JSON.stringify(graph)) return
    const resized = before.width !== graph.width || before.height !== graph.height
    this.graph = graph
    if (resized) {
      this.stage.endDrag()
      const { madeFor, placements } = this.state
      // If the text was already for another size, the user has been asked what to do.
      const fits = !madeFor || (madeFor.width === before.width && madeFor.height === before.height)
      if (rescale && fits && placements.length) {
        this.commit(writeState(this.state, graph), { placements })
      } else {
        this.state = keepPixels(this.state, before, graph)
      }
    }
    this.refresh()
  }

  /** @returns {EditorMemory} */
  get memory() {
    const { history, selection, snapping } = this
    const { activeElement, body } = document
    // The page may have taken the element away a moment before the node is removed.
    const justBlurred = activeElement === body && performance.now() - this.blurredAt < 1000
    const focused = activeElement === this.stage.element || justBlurred
    return { history, selection, snapping, focused }
  }

  /** Starts the history anew: a graph was opened. */
  start() {
    this.history = startHistory(this.text)
    this.updateToolbar()
  }

  /** @param {EditorMemory} memory */
  restore({ history, selection, snapping, focused }) {
    this.history = follow(history, this.text)
    this.snapping = snapping
    this.selection = selection
    this.refresh()
    if (focused) this.focusSoon(performance.now() + REFOCUS_TIME)
  }

  /**
   * Focuses the stage once it is in the page, unless something else has the focus.
   * @param {number} until
   */
  focusSoon(until) {
    const { element } = this.stage
    if (document.activeElement && document.activeElement !== document.body) return
    if (element.isConnected && element.offsetParent) element.focus()
    else if (this.observer && performance.now() < until) {
      requestAnimationFrame(() => this.focusSoon(until))
    }
  }

  // ---- output

  /**
   * Stores a new text, as one step of ComfyUI's undo.
   * @param {string} text
   * @param {{history?: History, placements?: Placement[] | null}} options
   */
  commit(text, { history = record(this.history, text), placements = null } = {}) {
    if (text === this.text) return
    this.text = text
    this.history = history
    this.state = readState(text, this.graph)
    // Placements that only moved with the size keep the digits that the text rounds away.
    if (placements) this.state = { ...this.state, placements }
    this.host.write(text)
    this.refresh()
  }

  /** @param {string} text */
  commitText(text) {
    this.commit(text)
    if (this.panel.textarea.value !== this.text) this.panel.textarea.value = this.text
  }

  /** @param {Placement[]} placements */
  commitPlacements(placements, amending = false) {
    const text = writeState({ placements, extra: this.state.extra }, this.graph)
    this.commit(text, amending ? { history: amend(this.history, text) } : {})
  }

  /** @param {Changes} changes */
  commitChanges(changes, amending = false) {
    this.commitPlacements(applyChanges(this.entries, changes, this.graph), amending)
  }

  // ---- display

  get locked() {
    return Boolean(this.state.problem || this.graph.locked)
  }

  /** Whether people can be moved one by one: what is written is where each of them is. */
  get movable() {
    return !this.locked && !areProvisional(this.entries)
  }

  /** Brings panel and stage up to date. */
  refresh() {
    const { graph, state, text } = this
    this.entries = listEntries(state, graph)
    const { entries } = this
    this.selection = this.selection.filter((index) => index < entries.length)
    const { selection, movable, snapping, swapping } = this
    const findings = listFindings(
      state,
      entries,
      graph,
      this.stage.images.describe(graph.background)
    )
    const { crops } = graph
    const overlaps = overlapsOf(entries, graph)
    this.stage.update({
      graph,
      entries,
      overlaps: new Set(overlaps.flat()),
      selection,
      marked: swapping ?? -1,
      locked: !movable,
      snapping
    })
    const { toolbar } = this
    const [wrong, fixed] = [Boolean(state.problem), Boolean(graph.locked)]
    const { width, height, sizable } = graph
    const image = { size: { width, height }, sizable }
    const people = { entries, crops, selection, movable, findings }
    this.panel.update({ ...image, ...people, text, fixed, wrong, toolbar })
  }

  updateToolbar() {
    this.panel.updateToolbar(this.toolbar)
  }

  get toolbar() {
    const { snapping, swapping } = this
    const poppedOut = this.popOut.isOpen
    return { enabled: enabledActions(this), snapping, swapping, poppedOut }
  }

  /**
   * Says to a screen reader where a person is.
   * @param {number} index
   */
  announce(index) {
    const entry = this.entries[index]
    this.panel.announce(entry ? describe(entry) : '')
  }

  // ---- events

  /**
   * Whether an event is for the graph: panning with the middle button or the space bar.
   * @param {PointerEvent} event
   */
  isForGraph(event) {
    return event.button === 1 || (event.buttons & 4) !== 0 || this.host.isPanning()
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (this.panel.scrolls(event)) event.stopPropagation()
    else this.host.wheel(event)
  }

  // ---- actions

  /** @param {number} by  -1 is undo, 1 redo */
  goBack(by) {
    const history = step(this.history, by)
    this.commit(currentText(history), { history })
  }

  toggleSnapping() {
    this.snapping = !this.snapping
    this.refresh()
  }

  toggleText() {
    this.panel.toggleText()
    this.updateToolbar()
    this.resized()
    this.panel.focusText()
  }

  /** Takes the focus and the selection from the stage. */
  leave() {
    this.select(-1)
    this.stage.element.blur()
    this.popOut.focus()
    this.blurredAt = -Infinity
  }

  /** The person who was selected last, or -1. */
  get selected() {
    return this.selection.at(-1) ?? -1
  }

  /**
   * Selects one person and no one else, or with -1 no one.
   * @param {number} index
   */
  select(index) {
    this.selection = index < 0 ? [] : [index]
    this.refresh()
  }
}
