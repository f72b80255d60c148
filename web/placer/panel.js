// What surrounds the stage: the toolbar, the list of people, the messages and the text.

import { make, replaceChildren } from '../dom.js'
import { colourOf } from './draw.js'
import { isPerson, nameOf } from './entries.js'
import { icon } from './icons.js'
import { PersonBar } from './person_bar.js'
import { SizeMenu } from './size_menu.js'

/**
 * @import { Entry } from './entries.js'
 * @import { Finding } from './findings.js'
 * @import { Size } from './geometry.js'
 *
 * @typedef {object} PanelState  what the panel shows
 * @property {Entry[]} entries
 * @property {(string | null)[]} crops
 * @property {number[]} selection  the indices of the selected people, the last one at the end
 * @property {boolean} movable  whether people can be moved and shaped
 * @property {Size} size  of the image
 * @property {boolean} sizable  whether it can be set here
 * @property {Finding[]} findings
 * @property {string} text
 * @property {boolean} fixed  whether the text cannot be edited
 * @property {boolean} wrong  whether there is a problem with the text
 * @property {ToolbarState} toolbar
 *
 * @typedef {object} ToolbarState
 * @property {Record<string, boolean>} enabled  by action
 * @property {number | null} swapping  the first of two people to swap, -1 before one is selected
 * @property {boolean} snapping
 * @property {boolean} poppedOut  whether the editor is open at full size
 *
 * @typedef {object} PanelHost
 * @property {(action: string) => void} act
 * @property {(index: number, event: MouseEvent) => void} choose  a person
 * @property {(index: number) => void} hover  a person, or -1
 * @property {(text: string) => void} write  the text was edited
 * @property {(kind: string) => void} chooseBody  of the selected people
 * @property {(strength: number) => void} setPatchStrength  of the selected people
 * @property {(size: Size) => void} setSize  of the image
 */

/** @type {([id: string, label: string] | null)[]} */
const ACTIONS = [
  ['undo', 'Undo'],
  ['redo', 'Redo'],
  null,
  ['row', 'Arrange in a row'],
  ['two_rows', 'Arrange in two rows'],
  ['arc', 'Arrange in an arc'],
  null,
  ['left_to_right', 'Assign people from left to right, to the poses or the current placements'],
  ['swap', 'Swap two people'],
  [
    'snap',
    'Snap to poses, faces, the lines of other people, and the centre and thirds of the image'
  ],
  null,
  ['off', 'Take off the canvas, or put back'],
  ['reset', 'Reset to automatic placements'],
  ['text', 'Show the placements as JSON'],
  ['pop_out', 'Open at full size, or close']
]

/**
 * Describes a person and their placement, for a screen reader.
 * @param {Entry} entry
 */
export function describe(entry) {
  const { index, placement, point } = entry
  const at = placement.placed && point ? `at ${Math.round(point.x)}, ${Math.round(point.y)}` : OFF
  return `${index + 1}, ${nameOf(entry)}, ${at}`
}

const OFF = 'off the canvas'

const EDITING_KEYS =
  /^([acvxyz]|Arrow.*|Home|End|Page.*|Backspace|Delete|Insert|Control|Meta|Shift|Alt)$/i

/**
 * Whether a key pressed in the text is one for the text; others are the graph's shortcuts.
 * @param {KeyboardEvent} event
 */
function isTyping(event) {
  const { key, ctrlKey, metaKey } = event
  // AltGr, which types characters, counts as Ctrl on some systems.
  if (!(ctrlKey || metaKey) || event.getModifierState('AltGraph')) return true
  return EDITING_KEYS.test(key)
}

/** @type {Record<Entry['origin'], string>} */
const ORIGINS = {
  text: '',
  automatic: '',
  provisional: '',
  missing: 'new',
  surplus: 'no one',
  new: 'new',
  gone: 'gone'
}

/** @type {(entry: Entry, crop: string | null, selected: boolean) => HTMLElement} */
function makeChip(entry, crop, selected) {
  const { index, placement, point, origin } = entry
  const off = !placement.placed
  const state = off && isPerson(entry) ? OFF : ORIGINS[origin]
  const at = point && !off ? `${Math.round(point.x)}, ${Math.round(point.y)}` : ''
  const label = [`${index + 1} ${nameOf(entry)}`, state, at].filter(Boolean).join(', ')
  const number = String(index + 1)
  const disc = make('span', 'idpatch-disc', {}, crop ? '' : number)
  if (crop) disc.style.backgroundImage = `url("${crop}")`
  const name = make('span', 'idpatch-name')
  if (crop) name.append(make('b', '', {}, number))
  const known = origin === 'surplus' ? ORIGINS.surplus : entry.name
  if (known) name.append(crop ? ` ${known}` : known)
  const attributes = {
    type: 'button',
    'aria-label': label,
    'aria-pressed': String(selected),
    'data-person': String(index),
    title: off ? `${label}. Click to select, Enter to put back` : label
  }
  const chip = make('button', 'idpatch-person', attributes, disc, ' ', name)
  chip.style.setProperty('--person', colourOf(index))
  chip.classList.toggle('idpatch-off', off || !isPerson(entry))
  return chip
}

/** @param {Finding} finding */
function makeMessage({ level, text, actions }) {
  const buttons = actions.map(({ id, label }) =>
    make('button', 'idpatch-action', { type: 'button', 'data-action': id }, label)
  )
  const sentence = make('span', 'idpatch-sentence', {}, text)
  return make('div', `idpatch-message idpatch-${level}`, {}, icon(level), sentence, ...buttons)
}

/** @param {Entry | undefined} first */
function makeSwapHint(first) {
  const text = first
    ? `Select the person to swap with ${nameOf(first)}.`
    : 'Select the first of two people to swap.'
  return make('div', 'idpatch-message idpatch-info', {}, icon('swap'), make('span', '', {}, text))
}

export class Panel {
  /** @param {PanelHost} host */
  constructor(host) {
    this.host = host
    /** @type {Record<string, HTMLButtonElement>} */
    this.buttons = {}
    this.toolbar = this.makeToolbar()
    this.people = make('div', 'idpatch-people', { role: 'group', 'aria-label': 'People' })
    this.bar = new PersonBar(host)
    this.sizes = new SizeMenu((size) => host.setSize(size))
    this.settings = make('div', 'idpatch-bar', {}, this.bar.element, this.sizes.element)
    this.messages = make('div', 'idpatch-messages', { role: 'status' })
    this.textarea = make('textarea', 'idpatch-text', {
      'aria-label': 'Placements as JSON',
      spellcheck: 'false',
      placeholder: 'Empty: placed automatically. Or [{"x": 412, "y": 230}, null]'
    })
    this.textarea.hidden = true
    this.announcement = make('div', 'idpatch-announcement', { 'aria-live': 'assertive' })
    this.listen()
  }

  makeToolbar() {
    const toolbar = make('div', 'idpatch-toolbar', { role: 'toolbar', 'aria-label': 'Placing' })
    let group = toolbar.appendChild(make('span', 'idpatch-group'))
    for (const action of ACTIONS) {
      if (!action) {
        group = toolbar.appendChild(make('span', 'idpatch-group'))
        continue
      }
      const [id, label] = action
      const attributes = { type: 'button', 'aria-label': label, title: label, 'data-action': id }
      this.buttons[id] = group.appendChild(make('button', 'idpatch-button', attributes, icon(id)))
    }
    return toolbar
  }

  listen() {
    const { toolbar, people, messages, textarea } = this
    /** @param {MouseEvent} event */
    const click = (event) => {
      const button = /** @type {Element} */ (event.target).closest('[data-action], [data-person]')
      if (!(button instanceof HTMLButtonElement) || button.disabled) return
      const { person, action } = button.dataset
      if (person) this.host.choose(Number(person), event)
      else if (action) this.host.act(action)
    }
    for (const part of [toolbar, people, messages]) part.addEventListener('click', click)
    people.addEventListener('pointerover', ({ target }) => {
      const chip = /** @type {Element} */ (target).closest('[data-person]')
      this.host.hover(chip instanceof HTMLElement ? Number(chip.dataset.person) : -1)
    })
    people.addEventListener('pointerleave', () => this.host.hover(-1))
    /** @type {HTMLElement[]} */
    const parts = [toolbar, people, this.settings, messages, textarea]
    for (const part of parts) {
      // Typing here is not a shortcut of the graph.
      part.addEventListener('keydown', (event) => {
        const { ctrlKey, metaKey, altKey } = event
        const typing = part === textarea ? isTyping(event) : !(ctrlKey || metaKey || altKey)
        if (typing) event.stopPropagation()
        else if (part === textarea) this.host.write(textarea.value) // what was typed counts
      })
    }
    textarea.addEventListener('change', () => this.host.write(textarea.value))
  }

  /** The height in page pixels, with the gaps. */
  get height() {
    const { toolbar, people, settings, messages, textarea } = this
    const parts = [toolbar, people, settings, messages, textarea]
    const heights = parts.map((part) => part.offsetHeight).filter(Boolean)
    return heights.reduce((sum, height) => sum + height + 5, 10)
  }

  /** @param {PanelState} state */
  update(state) {
    const { entries, crops, selection, movable, findings, text, fixed, wrong, toolbar } = state
    this.updateToolbar(toolbar)
    const selected = selection.map((index) => entries[index])
    this.bar.update(selected, movable)
    this.sizes.update(state.size, this.bar.element.hidden, state.sizable)
    this.updatePeople(
      entries.map((entry) => makeChip(entry, crops[entry.index], selected.includes(entry)))
    )
    const messages = findings.map(makeMessage)
    if (toolbar.swapping !== null) messages.unshift(makeSwapHint(entries[toolbar.swapping]))
    replaceChildren(this.messages, messages)
    this.messages.hidden = messages.length === 0
    if (document.activeElement !== this.textarea) this.textarea.value = text
    this.textarea.readOnly = fixed
    this.textarea.classList.toggle('idpatch-wrong', wrong)
  }

  /** @param {ToolbarState} state */
  updateToolbar({ enabled, swapping, snapping, poppedOut }) {
    for (const [id, button] of Object.entries(this.buttons)) button.disabled = !enabled[id]
    this.buttons.swap.setAttribute('aria-pressed', String(swapping !== null))
    this.buttons.snap.setAttribute('aria-pressed', String(snapping))
    this.buttons.pop_out.setAttribute('aria-pressed', String(poppedOut))
    this.buttons.text.setAttribute('aria-pressed', String(!this.textarea.hidden))
  }

  /** @param {HTMLElement[]} chips */
  updatePeople(chips) {
    const present = /** @type {(Element | null)[]} */ ([...this.people.children])
    const focused = present.indexOf(document.activeElement)
    if (replaceChildren(this.people, chips)) chips[focused]?.focus()
  }

  toggleText() {
    this.textarea.hidden = !this.textarea.hidden
  }

  focusText() {
    if (!this.textarea.hidden) this.textarea.focus()
  }

  /**
   * Whether the wheel scrolls a part of the panel.
   * @param {WheelEvent} event
   */
  scrolls({ target, ctrlKey }) {
    return [this.textarea, this.messages].some(
      (part) =>
        part.contains(/** @type {Node} */ (target)) &&
        part.scrollHeight > part.clientHeight &&
        !ctrlKey
    )
  }

  /**
   * Says something to a screen reader.
   * @param {string} text
   */
  announce(text) {
    this.announcement.textContent = text
  }
}
