// The editor of the people: shows their cards, takes clicks, drags, drops and pastes.

import { make, replaceChildren } from '../dom.js'
import { makeCard } from './cards.js'
import {
  addPeople,
  addPhotos,
  changePerson,
  changePhoto,
  dropIndex,
  movePerson,
  parsePeople,
  removePerson,
  removePhoto,
  writePeople
} from './state.js'
import { askForPhotos, imagesOf, uploadPhotos } from './uploads.js'

/**
 * @import { Person } from './state.js'
 *
 * @typedef {object} EditorHost
 * @property {(text: string) => void} write  stores the text as one step
 *
 * @typedef {object} RunReport  what the graph and the last run say
 * @property {number} before  how many people come in before these
 * @property {boolean} fixed  whether the people come from a connected input
 * @property {(string | null)[]} crops  URLs of the faces that were used, of each person
 * @property {PhotosReport} found
 * @property {string[]} warnings
 */

/** @type {RunReport} */
const EMPTY_REPORT = { before: 0, fixed: false, crops: [], found: {}, warnings: [] }

/** @type {(text: string, kind: string) => HTMLElement} */
const makeNote = (text, kind) => make('div', `idpatch-${kind}`, {}, text)

/** Whether a key is for the field; others are the graph's shortcuts. @param {KeyboardEvent} event */
const isTyping = ({ key, ctrlKey, metaKey }) => !(ctrlKey || metaKey) || /^[acvxyz]$/i.test(key)

export class PeopleEditor {
  /** @param {EditorHost} host */
  constructor(host) {
    this.host = host
    this.text = ''
    /** @type {Person[]} */
    this.people = []
    /** @type {string | null} */
    this.problem = null
    this.report = EMPTY_REPORT
    /** @type {Set<number>} the people whose phrase and strengths are shown */
    this.open = new Set()
    this.uploading = 0
    /** @type {string[]} of uploads */
    this.failures = []
    /** @type {{from: number, to: number} | null} */
    this.drag = null
    this.list = make('div', 'idpatch-group-list', { role: 'list', 'aria-label': 'People' })
    this.notes = make('div', 'idpatch-notes', { role: 'status' })
    this.button = make(
      'button',
      'idpatch-action',
      { type: 'button', 'data-action': 'add' },
      'Add people'
    )
    this.inner = make('div', 'idpatch-inner', {}, this.list, this.notes, this.button)
    this.element = make(
      'div',
      'idpatch-faces idpatch-group-editor',
      { tabindex: '-1', 'aria-label': 'People and their photos', role: 'group' },
      this.inner
    )
    this.listen()
    this.render()
  }

  listen() {
    const { element } = this
    element.addEventListener('click', (event) => this.click(event))
    element.addEventListener('change', (event) => this.change(event))
    element.addEventListener('keydown', (event) => this.keyDown(event))
    element.addEventListener('pointerdown', (event) => this.pointerDown(event))
    element.addEventListener('pointermove', (event) => this.pointerMove(event))
    element.addEventListener('pointerup', () => this.endDrag(true))
    element.addEventListener('pointercancel', () => this.endDrag(false))
    element.addEventListener('dragover', (event) => this.dragOver(event))
    element.addEventListener('dragleave', () => this.highlight(null))
    element.addEventListener('drop', (event) => this.drop(event))
    element.addEventListener('paste', (event) => this.paste(event))
  }

  /**
   * Shows a text that was stored elsewhere.
   * @param {string} text
   */
  load(text) {
    if (text === this.text) return
    this.text = text
    Object.assign(this, parsePeople(text))
    this.render()
  }

  /**
   * Shows what the graph and the last run say.
   * @param {RunReport} report
   */
  show(report) {
    this.report = report
    this.render()
  }

  /** @param {Person[]} people */
  commit(people) {
    if (this.report.fixed) return
    const text = writePeople(people)
    if (text === this.text) return
    this.text = text
    this.people = people
    this.problem = null
    this.render()
    this.host.write(text)
  }

  render() {
    const { people, problem, report, open } = this
    const { before, fixed, crops, found } = report
    const cards = people.map((person, index) =>
      makeCard({
        person,
        index,
        number: before + index + 1,
        crop: crops[index] ?? null,
        found,
        open: open.has(index),
        fixed
      })
    )
    const focused = this.focusedPlace()
    if (this.replaceCards(cards)) this.focus(focused)
    this.button.disabled = fixed
    this.button.textContent = this.uploading ? 'Uploading…' : 'Add people'
    const notes = [...(problem ? [problem] : []), ...this.failures]
    const items = notes.map((text) => makeNote(text, 'error'))
    items.push(...report.warnings.map((text) => makeNote(text, 'warning')))
    if (fixed) items.push(makeNote('The people come from the connected input.', 'hint'))
    else if (!people.length && !problem) {
      items.push(makeNote('Drop photos here, paste one, or press Add people.', 'hint'))
    }
    replaceChildren(this.notes, items)
  }

  /**
   * Replaces the cards that changed, so that the photos of the others stay; returns whether any did.
   * @param {HTMLElement[]} cards
   */
  replaceCards(cards) {
    const present = [...this.list.children]
    if (present.length !== cards.length) return replaceChildren(this.list, cards)
    const changed = cards.filter((card, index) => !card.isEqualNode(present[index]))
    for (const card of changed) present[cards.indexOf(card)].replaceWith(card)
    return changed.length > 0
  }

  /** Where the focus is: the person and the number of the element in their card. */
  focusedPlace() {
    const card = this.cardOf(document.activeElement)
    const at = card ? [...card.querySelectorAll('button, input')] : []
    const nth = at.indexOf(/** @type {Element} */ (document.activeElement))
    return nth < 0 ? null : { person: Number(card?.dataset.person), nth }
  }

  /** @param {{person: number, nth: number} | null} place */
  focus(place) {
    const card = place && this.list.children[place.person]
    const element = card?.querySelectorAll('button, input')[place?.nth ?? -1]
    if (element instanceof HTMLElement) element.focus()
  }

  /**
   * The card that an element is in.
   * @type {(element: EventTarget | null) => HTMLElement | null}
   */
  cardOf(element) {
    const card = element instanceof Element ? element.closest('[data-person]') : null
    return card instanceof HTMLElement && this.list.contains(card) ? card : null
  }

  /**
   * The person and the photo that an element is in, -1 for none.
   * @param {EventTarget | null} element
   */
  placeOf(element) {
    const photo = element instanceof Element ? element.closest('[data-photo]') : null
    return {
      index: Number(this.cardOf(element)?.dataset.person ?? -1),
      photo: photo instanceof HTMLElement ? Number(photo.dataset.photo) : -1
    }
  }

  /** @param {MouseEvent} event */
  click(event) {
    const { target } = event
    if (!(target instanceof Element)) return
    const { index, photo } = this.placeOf(target)
    const button = target.closest('[data-action], [data-face]')
    if (button instanceof HTMLElement && button.dataset.action) {
      this.act(button.dataset.action, index, photo)
    } else if (button instanceof HTMLElement && button.dataset.face) {
      const [x, y] = button.dataset.face.split(' ').map(Number)
      this.chooseFace(index, photo, x, y)
    } else if (target instanceof HTMLImageElement && photo >= 0) {
      const { left, top, width, height } = target.getBoundingClientRect()
      this.chooseFace(index, photo, (event.clientX - left) / width, (event.clientY - top) / height)
    }
  }

  /** @type {(index: number, photo: number, x: number, y: number) => void} */
  chooseFace(index, photo, x, y) {
    const round = (/** @type {number} */ value) =>
      Math.round(Math.min(Math.max(value, 0), 1) * 1e4) / 1e4
    this.commit(changePhoto(this.people, index, photo, { face: [round(x), round(y)] }))
  }

  /** @type {(action: string, index: number, photo: number) => void} */
  act(action, index, photo) {
    if (action === 'add') return askForPhotos((files) => this.add(files, -1))
    if (action === 'add_photos') return askForPhotos((files) => this.add(files, index))
    if (action === 'remove_photo') return this.commit(removePhoto(this.people, index, photo))
    if (action === 'remove') {
      this.open.clear()
      return this.commit(removePerson(this.people, index))
    }
    if (!this.open.delete(index)) this.open.add(index)
    this.render()
  }

  /** @param {Event} event */
  change({ target }) {
    if (!(target instanceof HTMLInputElement)) return
    const { index } = this.placeOf(target)
    const [field, nth] = target.dataset.field?.split(' ') ?? []
    if (index < 0 || !field) return
    if (field === 'name' || field === 'phrase') {
      const text = target.value.replace(/\s+/g, ' ').trim()
      return this.commit(changePerson(this.people, index, { [field]: text }))
    }
    const { min, max, valueAsNumber } = target
    const value = Math.min(Math.max(valueAsNumber, Number(min)), Number(max))
    if (Number.isNaN(value)) return this.show(this.report)
    this.commit(
      field === 'weight'
        ? changePhoto(this.people, index, Number(nth), { weight: value })
        : changePerson(this.people, index, { tokenStrength: value })
    )
  }

  /** @param {KeyboardEvent} event */
  keyDown(event) {
    const { target, key } = event
    if (key === 'Escape' && this.drag) {
      event.stopPropagation()
      return this.endDrag(false)
    }
    if (target instanceof HTMLInputElement) {
      if (key === 'Enter' || !isTyping(event)) this.change(event) // what was typed counts
      if (isTyping(event)) event.stopPropagation()
      return
    }
    const step = { ArrowUp: -1, ArrowDown: 1 }[key]
    if (!step || !(target instanceof HTMLElement) || target.dataset.handle === undefined) return
    event.preventDefault()
    event.stopPropagation()
    const { index } = this.placeOf(target)
    this.move(index, Math.min(Math.max(index + step, 0), this.people.length - 1))
  }

  /** Moves a person, and the focus with them. @type {(from: number, to: number) => void} */
  move(from, to) {
    if (from === to) return
    this.open.clear()
    this.commit(movePerson(this.people, from, to))
    this.focus({ person: to, nth: 0 })
  }

  /** @param {PointerEvent} event */
  pointerDown(event) {
    const { target, button, pointerId } = event
    if (button !== 0 || !(target instanceof HTMLElement)) return
    if (target !== this.element && target !== this.inner) event.stopPropagation()
    if (target.dataset.handle === undefined || this.report.fixed) return
    const { index } = this.placeOf(target)
    target.setPointerCapture(pointerId)
    this.drag = { from: index, to: index }
  }

  /** @param {PointerEvent} event */
  pointerMove({ clientY }) {
    if (!this.drag) return
    const middles = [...this.list.children].map((card) => {
      const { top, height } = card.getBoundingClientRect()
      return top + height / 2
    })
    this.drag.to = dropIndex(middles, this.drag.from, clientY)
    this.mark()
  }

  /** Shows where the dragged person would be. */
  mark() {
    const { from, to } = this.drag ?? { from: -1, to: -1 }
    for (const [index, card] of [...this.list.children].entries()) {
      card.classList.toggle('idpatch-dragged', index === from)
      card.classList.toggle('idpatch-before', index === to && to < from)
      card.classList.toggle('idpatch-after', index === to && to > from)
    }
  }

  /** @param {boolean} drop */
  endDrag(drop) {
    const { drag } = this
    if (!drag) return
    this.drag = null
    this.mark()
    if (drop) this.move(drag.from, drag.to)
  }

  /** @param {DragEvent} event */
  dragOver(event) {
    if (this.report.fixed || !event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    event.stopPropagation()
    this.highlight(this.cardOf(event.target) ?? this.element)
  }

  /** @param {HTMLElement | null} target */
  highlight(target) {
    for (const one of [this.element, ...this.list.children]) {
      one.classList.toggle('idpatch-dropping', one === target)
    }
  }

  /** @param {DragEvent} event */
  drop(event) {
    this.highlight(null)
    const files = imagesOf(event.dataTransfer?.files)
    if (!files.length || this.report.fixed) return
    event.preventDefault()
    event.stopPropagation()
    this.add(files, this.placeOf(event.target).index)
  }

  /** @param {ClipboardEvent} event */
  paste(event) {
    const files = imagesOf(event.clipboardData?.files)
    if (!files.length || this.report.fixed) return
    event.preventDefault()
    event.stopPropagation()
    this.add(files, this.placeOf(event.target).index)
  }

  /**
   * Uploads photos: of the person at an index, or for -1 of new people.
   * @type {(files: File[], index: number) => Promise<void>}
   */
  async add(files, index) {
    const person = this.people[index]
    this.uploading += 1
    this.failures = []
    this.render()
    const { names, problems } = await uploadPhotos(files)
    this.uploading -= 1
    this.failures.push(...problems)
    // The people may have changed meanwhile.
    const at = this.people.findIndex(({ photos }) => photos === person?.photos)
    if (names.length) {
      this.commit(at < 0 ? addPeople(this.people, names) : addPhotos(this.people, at, names))
    }
    this.render()
  }
}
