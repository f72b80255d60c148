// The `placements` text: the only truth about who stands where, and its history. Pure functions.
//
// The text is empty (automatic arrangement), a list, or an object:
//   {"version": 1, "width": 1024, "height": 1024, "people": [
//     {"x": 412, "y": 230, "name": "Ada"}, {"x": 600, "y": 231, "placed": false}, null]}
// x and y are output pixels, people in the order in which they are encoded. `"placed": false` or
// null takes a person off the canvas, `patch_strength` scales their patch. `width` and `height` say for
// which picture the places were made and `name` for whom; Python reads neither. Fields that this
// editor does not know are kept.

export const VERSION = 1
export const LARGEST = 1e6 // pixels, as in idpatch_core/layout.py
export const STRONGEST = 10

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

function shown(value) {
  const text = JSON.stringify(value) ?? String(value)
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`
}

/**
 * Reads the text as Python does.
 *
 * Returns `{people, width, height, extra}` with people as `{x, y, placed, strength, name, extra}`
 * in pixels (x and y null where no point is known; nobody at all means automatic), or
 * `{problem}`, a sentence that says what is wrong with the text.
 */
export function parse(text) {
  if (typeof text !== 'string') return { problem: `The places are no text: ${shown(text)}.` }
  if (!text.trim()) return { people: [], width: null, height: null, extra: {} }
  let data
  try {
    data = JSON.parse(text)
  } catch (error) {
    return { problem: `The places are not JSON: ${error.message}.` }
  }
  let extra = {}
  if (isObject(data)) {
    if (data.version !== VERSION) {
      const version = 'version' in data ? `version ${shown(data.version)}` : 'no version'
      return { problem: `The places have ${version}; this editor reads version ${VERSION}.` }
    }
    extra = data
    if (!('people' in data)) return { problem: 'The places have no list of "people".' }
    data = data.people
  }
  if (!Array.isArray(data)) {
    return { problem: `Expected a list with a place for each person, got ${shown(data)}.` }
  }
  const people = []
  for (const [index, item] of data.entries()) {
    const person = parsePerson(item)
    if (typeof person === 'string') return { problem: `Person ${index + 1}: ${person}.` }
    people.push(person)
  }
  const { version: _version, people: _people, width, height, ...rest } = extra
  const size = isSize(width) && isSize(height)
  return {
    people,
    width: size ? width : null,
    height: size ? height : null,
    extra: rest
  }
}

const isSize = (value) => Number.isFinite(value) && value > 0

/** Reads one entry; a string says what is wrong with it. */
function parsePerson(item) {
  if (item === null) return { x: null, y: null, placed: false, strength: 1, name: null, extra: {} }
  if (!isObject(item)) return `expected {"x": ..., "y": ...} or null, got ${shown(item)}`
  const { x, y, placed = true, patch_strength: strength = 1, name, ...extra } = item
  if (typeof strength !== 'number' || !(strength >= 0 && strength <= STRONGEST)) {
    return `patch_strength must be a number from 0 to ${STRONGEST}, got ${shown(strength)}`
  }
  if (typeof placed !== 'boolean') return `placed must be true or false, got ${shown(placed)}`
  const known = isPixel(x) && isPixel(y)
  if (placed && !known) {
    const [axis, value] = isPixel(x) ? ['y', y] : ['x', x]
    if (value === undefined) return `${axis} is missing`
    if (typeof value !== 'number') return `${axis} must be a number, got ${shown(value)}`
    return `${axis} is ${value} pixels, far from any picture`
  }
  return {
    x: known ? x : null,
    y: known ? y : null,
    placed,
    strength,
    name: typeof name === 'string' ? name : null,
    extra
  }
}

const isPixel = (value) => typeof value === 'number' && Math.abs(value) <= LARGEST

/** Writes the text; nobody at all gives the empty text, which means automatic. */
export function serialise({ people, width, height, extra = {} }) {
  if (people.length === 0) return ''
  return JSON.stringify({
    version: VERSION,
    width,
    height,
    people: people.map(serialisePerson),
    ...extra
  })
}

function serialisePerson({ x, y, placed, strength, name, extra }) {
  if (x === null && !name && strength === 1 && Object.keys(extra ?? {}).length === 0) return null
  const item = {}
  if (x !== null) Object.assign(item, { x: tidy(x), y: tidy(y) })
  if (!placed) item.placed = false
  if (strength !== 1) item.patch_strength = strength
  if (name) item.name = name
  return { ...item, ...extra }
}

/** A hundredth of a pixel: finer than any patch is placed, short to read. */
const tidy = (value) => Math.round(value * 100) / 100 || 0

const LONGEST_HISTORY = 100

/** A history is `{texts, at}`: what the text was, and which of them it is now. */
export function startHistory(text) {
  return { texts: [text], at: 0 }
}

/** Records a new text as a step. */
export function record({ texts, at }, text) {
  const kept = [...texts.slice(0, at + 1), text].slice(-LONGEST_HISTORY)
  return { texts: kept, at: kept.length - 1 }
}

/** Goes `by` steps back (-1) or forth (1), where there are any. */
export function step({ texts, at }, by) {
  return { texts, at: Math.min(Math.max(at + by, 0), texts.length - 1) }
}

/** Follows a text that somebody else wrote; what ComfyUI's own undo brought back is a step back. */
export function follow(history, text) {
  for (const by of [0, -1, 1]) {
    const there = step(history, by)
    if (text === now(there)) return there
  }
  return record(history, text)
}

export const now = ({ texts, at }) => texts[at]

/** Replaces the present text: a step that goes on, such as a key that is held. */
export function amend({ texts, at }, text) {
  return { texts: [...texts.slice(0, at), text], at }
}

export const canUndo = ({ at }) => at > 0

export const canRedo = ({ texts, at }) => at + 1 < texts.length
