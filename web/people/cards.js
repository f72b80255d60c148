// The cards of the people: a name, photos with their faces, and the buttons. Makes elements only.

import { photoUrl } from '../comfy.js'
import { make } from '../dom.js'
import { findFaceAt, MOST_STRENGTH, MOST_WEIGHT } from './state.js'

/**
 * @import { Box, Person, Photo } from './state.js'
 *
 * @typedef {object} CardState
 * @property {Person} person
 * @property {number} index
 * @property {number} number  of the person in the group, from 1
 * @property {string | null} crop  URL of the face that the last run used
 * @property {PhotosReport} found  the faces that the last run found, by file
 * @property {boolean} open  whether the phrase, also an empty one, and the strengths are shown
 * @property {boolean} fixed  whether nothing can be changed
 */

const percent = (/** @type {number} */ value) => `${(100 * value).toFixed(2)}%`

/** @type {(label: string, action: string, text: string, disabled: boolean) => HTMLElement} */
function makeButton(label, action, text, disabled) {
  const attributes = { type: 'button', title: label, 'aria-label': label, 'data-action': action }
  const button = make('button', 'idpatch-button', attributes, text)
  button.disabled = disabled
  return button
}

/** @type {(box: Box, label: string, chosen: boolean) => HTMLElement} */
function makeFace([left, top, right, bottom], label, chosen) {
  const face = make('button', 'idpatch-face', {
    type: 'button',
    title: label,
    'aria-label': label,
    'aria-pressed': String(chosen),
    'data-face': `${(left + right) / 2} ${(top + bottom) / 2}`
  })
  face.style.left = percent(left)
  face.style.top = percent(top)
  face.style.width = percent(right - left)
  face.style.height = percent(bottom - top)
  return face
}

/** @type {(photo: Photo, nth: number, state: CardState, name: string) => HTMLElement} */
function makePhoto(photo, nth, { found, fixed }, name) {
  const { file, face } = photo
  const label = `Photo ${nth + 1} of ${name}, ${file}`
  const image = make('img', 'idpatch-image', {
    src: photoUrl(file),
    alt: label,
    title: 'Click the face of this person',
    draggable: 'false'
  })
  const frame = make('div', 'idpatch-photo', { 'data-photo': String(nth) }, image)
  const { faces, width, height } = found[file] ?? { faces: [], width: 1, height: 1 }
  const chosen = findFaceAt(faces, face, width / height)
  for (const [index, box] of faces.entries()) {
    frame.append(makeFace(box, `Face ${index + 1} in ${file}`, index === chosen))
  }
  if (face && !faces.length) {
    const mark = make('div', 'idpatch-mark')
    mark.style.left = percent(face[0])
    mark.style.top = percent(face[1])
    frame.append(mark)
  }
  const remove = makeButton(`Remove photo ${nth + 1} of ${name}`, 'remove_photo', '×', fixed)
  remove.classList.add('idpatch-remove')
  frame.append(remove)
  return frame
}

/** @type {(label: string, name: string, value: number, most: number, fixed: boolean) => HTMLElement} */
function makeNumber(label, name, value, most, fixed) {
  const input = make('input', 'idpatch-field idpatch-number', {
    type: 'number',
    min: '0',
    max: String(most),
    step: '0.05',
    value: String(value),
    'data-field': name
  })
  input.disabled = fixed
  return make('label', 'idpatch-setting', {}, label, input)
}

/** @type {(state: CardState, name: string) => HTMLElement} */
function makeSettings({ person, fixed }, name) {
  const { tokenStrength, photos } = person
  const settings = make('div', 'idpatch-settings', { role: 'group', 'aria-label': `${name}, more` })
  settings.append(
    makeNumber('Token strength', 'token_strength', tokenStrength, MOST_STRENGTH, fixed)
  )
  if (photos.length > 1) {
    for (const [nth, { weight }] of photos.entries()) {
      const label = `Weight of photo ${nth + 1}`
      settings.append(makeNumber(label, `weight ${nth}`, weight, MOST_WEIGHT, fixed))
    }
  }
  return settings
}

/** @type {(state: CardState, name: string) => HTMLElement} */
function makePhrase({ person, fixed }, name) {
  const field = make('input', 'idpatch-field', {
    type: 'text',
    value: person.phrase,
    placeholder: 'Clothes, hair, expression',
    title: 'Clothes, hair, expression (for Describe People)',
    'aria-label': `Clothes, hair, expression of ${name} (for Describe People)`,
    'data-field': 'phrase',
    maxlength: '500'
  })
  field.disabled = fixed
  return make('div', 'idpatch-row', {}, field)
}

/**
 * Makes the card of a person.
 * @param {CardState} state
 */
export function makeCard(state) {
  const { person, index, number, crop, open, fixed } = state
  const name = person.name || `person ${number}`
  const order = `${name}, ${number}: drag, or press the up and down keys, to change the order`
  const handle = make('button', 'idpatch-handle', {
    type: 'button',
    title: order,
    'aria-label': order,
    'data-handle': ''
  })
  handle.disabled = fixed
  if (crop) handle.style.backgroundImage = `url("${crop}")`
  else handle.textContent = String(number)
  const field = make('input', 'idpatch-field', {
    type: 'text',
    value: person.name,
    placeholder: `person ${number}`,
    'aria-label': `Name of person ${number}`,
    'data-field': 'name',
    maxlength: '100',
    spellcheck: 'false'
  })
  field.disabled = fixed
  const more = makeButton(`Phrase and strengths of ${name}`, 'more', '⋯', false)
  more.setAttribute('aria-expanded', String(open))
  const remove = makeButton(`Remove ${name}`, 'remove', '×', fixed)
  const row = make('div', 'idpatch-row', {}, handle, field, more, remove)
  const photos = make('div', 'idpatch-photos')
  photos.append(
    ...person.photos.map((photo, nth) => makePhoto(photo, nth, state, name)),
    makeButton(`Add photos of ${name}`, 'add_photos', '+', fixed)
  )
  photos.lastElementChild?.classList.add('idpatch-add')
  const attributes = { 'data-person': String(index), role: 'listitem', 'aria-label': name }
  const card = make('div', 'idpatch-someone', attributes, row, photos)
  if (open || person.phrase) card.append(makePhrase(state, name))
  if (open) card.append(makeSettings(state, name))
  return card
}
