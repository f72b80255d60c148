// The settings of the selected people: the body, and how strong the patch is. Of several people it
// shows the one selected last, and changes all.

import { make } from '../dom.js'
import { KINDS } from './bodies.js'
import { isPlaced, nameOf } from './entries.js'
import { icon } from './icons.js'
import { MAX_PATCH_STRENGTH } from './placements.js'

/**
 * @import { Entry } from './entries.js'
 *
 * @typedef {object} PersonBarHost
 * @property {(choice: string) => void} chooseBody  a kind, or '' for no body of their own
 * @property {(action: string) => void} act
 * @property {(strength: number) => void} setPatchStrength
 */

const OWN = 'own' // the body in the placement, which is of no kind any more

/** @type {Record<NonNullable<Entry['source']>, string>} */
const SOURCES = { placement: 'Own body', pose: 'Body of the pose', kind: 'Body of the node' }

/** @type {[id: string, label: string][]} */
const ACTIONS = [
  ['smaller', 'Make the body smaller'],
  ['larger', 'Make the body larger'],
  ['mirror', 'Mirror the body']
]

/** @type {[id: string, label: string, least: number][]} the last is how many people it takes */
const ALIGNMENTS = [
  ['same_height', 'Align to the height of the person selected last', 2],
  ['even_spacing', 'Space evenly from left to right', 3]
]

/** @type {(id: string, label: string, host: PersonBarHost) => HTMLButtonElement} */
function makeButton(id, label, host) {
  const attributes = { type: 'button', 'aria-label': label, title: label, 'data-action': id }
  const button = make('button', 'idpatch-button', attributes, icon(id))
  button.addEventListener('click', () => host.act(id))
  return button
}

/** @param {string} kind */
const kindLabel = (kind) => kind[0].toUpperCase() + kind.slice(1).replace('_', ' ')

export class PersonBar {
  /** @param {PersonBarHost} host */
  constructor(host) {
    this.menu = make('select', 'idpatch-menu', { 'aria-label': 'Body' })
    this.menu.addEventListener('change', () => {
      if (this.menu.value !== OWN) host.chooseBody(this.menu.value)
    })
    /** @type {HTMLButtonElement[]} */
    this.buttons = ACTIONS.map(([id, label]) => makeButton(id, label, host))
    this.alignments = ALIGNMENTS.map(([id, label, least]) => ({
      button: makeButton(id, label, host),
      least
    }))
    const aligning = this.alignments.map(({ button }) => button)
    this.aligning = make('span', 'idpatch-group', {}, ...aligning)
    this.strength = make('input', 'idpatch-number', {
      type: 'number',
      min: '0',
      max: String(MAX_PATCH_STRENGTH),
      step: '0.05',
      'aria-label': 'Patch strength',
      title: 'How strong this person’s patch is; 1 is as trained'
    })
    this.strength.addEventListener('change', () => {
      const value = Number(this.strength.value)
      const usable = this.strength.value !== '' && Number.isFinite(value)
      host.setPatchStrength(usable ? Math.min(Math.max(value, 0), MAX_PATCH_STRENGTH) : 1)
    })
    const label = make('span', 'idpatch-label', { 'aria-hidden': 'true' }, 'Patch')
    const group = make('span', 'idpatch-group', {}, ...this.buttons)
    this.element = make(
      'div',
      'idpatch-settings',
      { role: 'group' },
      this.menu,
      group,
      this.aligning,
      label,
      this.strength
    )
    this.element.hidden = true
  }

  /**
   * @param {Entry[]} selected  people, the one selected last at the end
   * @param {boolean} editable
   */
  update(selected, editable) {
    const placed = selected.filter(isPlaced)
    const entry = placed.at(-1)
    this.aligning.hidden = placed.length < 2
    for (const { button, least } of this.alignments) {
      button.disabled = !editable || placed.length < least
    }
    this.element.hidden = !entry
    if (!entry) return
    const whose = placed.length > 1 ? `${placed.length} people` : nameOf(entry)
    this.element.setAttribute('aria-label', `Settings of ${whose}`)
    const { source } = entry
    const first = source ? SOURCES[source] : 'No body'
    const options = [
      [OWN, first],
      ...(source === 'placement' ? [['', 'No body of their own']] : [])
    ]
    for (const kind of Object.keys(KINDS)) options.push([kind, kindLabel(kind)])
    const key = options.flat().join()
    if (this.menu.dataset.key !== key) {
      this.menu.dataset.key = key
      this.menu.replaceChildren(
        ...options.map(([value, text]) => make('option', '', { value }, text))
      )
    }
    this.menu.value = OWN
    this.menu.disabled = !editable
    for (const button of this.buttons) button.disabled = !editable || !entry.joints
    this.strength.disabled = !editable
    if (document.activeElement !== this.strength) {
      this.strength.value = String(entry.placement.patchStrength)
    }
  }
}
