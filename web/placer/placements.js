// The `placements` text, the only record of who is where, read as idpatch_core/placements.py reads
// it. Pure functions.
//
// The text is empty (automatic arrangement), a list, or an object:
//   {"version": 1, "width": 1024, "height": 1024, "people": [
//     {"x": 412, "y": 230, "name": "Ada"}, {"x": 600, "y": 231, "placed": false}, null]}
// x and y are output pixels, people in the order in which they are encoded. `"placed": false` or
// null takes a person off the canvas, `patch_strength` scales their patch. `body` is a list of the 18
// joints of OpenPose: [x, y] in pixels from the person's point, or null. `width` and `height` are of
// the image that the placements were made for and `name` is the person. Fields that this editor does
// not know are kept.

import { scaleBody } from './bodies.js'
import { denormalise, normalise } from './geometry.js'

/**
 * @import { Body } from './bodies.js'
 * @import { Size } from './geometry.js'
 * @import { Point } from './layout.js'
 *
 * @typedef {object} PlacementSettings  of one person, beside the point
 * @property {boolean} placed  false takes the person off the canvas
 * @property {number} patchStrength  of their patch
 * @property {string | null} name
 * @property {Record<string, unknown>} extra  fields that this editor does not know
 *
 * @typedef {PlacementSettings & {x: number | null, y: number | null, body: Body | null}}
 *   StoredPlacement  as in the text: in pixels, null where no point is known
 *
 * @typedef {PlacementSettings & {point: Point | null, body: Body | null}} Placement
 *   with the point normalised to [0, 1], so that it scales with the image, and the body in units of
 *   the geometric mean of the image's sides, so that it keeps its shape
 *
 * @typedef {object} StoredPlacements  what a text holds; no people means automatic
 * @property {StoredPlacement[]} people
 * @property {number | null} width
 * @property {number | null} height
 * @property {Record<string, unknown>} [extra]
 *
 * @typedef {object} State  what the text says for an image of a size
 * @property {Placement[]} placements
 * @property {Record<string, unknown>} extra
 * @property {Size | null} madeFor  the image that it was written for
 * @property {string | null} problem  what is wrong with the text
 */

export const SCHEMA_VERSION = 1
export const MAX_COORDINATE = 1e6 // pixels, as in Python
export const MAX_PATCH_STRENGTH = 10
const JOINTS = 18

/** @type {(value: unknown) => value is Record<string, unknown>} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** @type {(value: unknown) => value is number} */
const isSide = (value) => typeof value === 'number' && Number.isFinite(value) && value > 0

/** @type {(value: unknown) => value is number} */
const isPixel = (value) => typeof value === 'number' && Math.abs(value) <= MAX_COORDINATE

/** @type {(value: unknown) => value is number} */
const isPatchStrength = (value) =>
  typeof value === 'number' && value >= 0 && value <= MAX_PATCH_STRENGTH

/** @param {unknown} value */
function quote(value) {
  const text = JSON.stringify(value) ?? String(value)
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`
}

/**
 * Reads the text as Python does; a string says what is wrong with it.
 * @param {unknown} text
 * @returns {Required<StoredPlacements> | string}
 */
export function parsePlacements(text) {
  if (typeof text !== 'string') return `The placements are not text: ${quote(text)}.`
  if (!text.trim()) return { people: [], width: null, height: null, extra: {} }
  let data
  try {
    data = JSON.parse(text)
  } catch (error) {
    return `The placements are not JSON: ${/** @type {Error} */ (error).message}.`
  }
  /** @type {Record<string, unknown>} */
  let fields = {}
  if (isObject(data)) {
    if (data.version !== SCHEMA_VERSION) {
      const version = 'version' in data ? `version ${quote(data.version)}` : 'no version'
      return `The placements have ${version}; this editor reads version ${SCHEMA_VERSION}.`
    }
    fields = data
    if (!('people' in data)) return 'The placements have no list of "people".'
    data = data.people
  }
  if (!Array.isArray(data)) {
    return `Expected a list with a placement for each person, got ${quote(data)}.`
  }
  const people = []
  for (const [index, item] of data.entries()) {
    const person = parsePerson(item)
    if (typeof person === 'string') return `Person ${index + 1}: ${person}.`
    people.push(person)
  }
  const { version: _version, people: _people, width, height, ...extra } = fields
  if (!isSide(width) || !isSide(height)) return { people, width: null, height: null, extra }
  return { people, width, height, extra }
}

/**
 * Reads one entry; a string says what is wrong with it.
 * @param {unknown} item
 * @returns {StoredPlacement | string}
 */
function parsePerson(item) {
  if (item === null)
    return { x: null, y: null, body: null, placed: false, patchStrength: 1, name: null, extra: {} }
  if (!isObject(item)) return `expected {"x": ..., "y": ...} or null, got ${quote(item)}`
  const { x, y, placed = true, patch_strength: patchStrength = 1, name, ...rest } = item
  if (!isPatchStrength(patchStrength)) {
    const range = `a number from 0 to ${MAX_PATCH_STRENGTH}`
    return `patch_strength must be ${range}, got ${quote(patchStrength)}`
  }
  if (typeof placed !== 'boolean') return `placed must be true or false, got ${quote(placed)}`
  const { body: stored = null, ...extra } = rest
  const body = stored === null ? null : parseBody(stored)
  if (typeof body === 'string') return body
  const known = typeof name === 'string' ? name : null
  const settings = { body, placed, patchStrength, name: known, extra }
  if (isPixel(x) && isPixel(y)) return { x, y, ...settings }
  if (!placed) return { x: null, y: null, ...settings }
  const [axis, value] = isPixel(x) ? ['y', y] : ['x', x]
  if (value === undefined) return `${axis} is missing`
  if (typeof value !== 'number') return `${axis} must be a number, got ${quote(value)}`
  return `${axis} is ${value} pixels, far outside any image`
}

/**
 * Reads a body; a string says what is wrong with it.
 * @param {unknown} value
 * @returns {Body | string}
 */
function parseBody(value) {
  if (!Array.isArray(value) || value.length !== JOINTS) {
    return `body must be a list of ${JOINTS} joints, got ${quote(value)}`
  }
  /** @type {Body} */
  const body = []
  for (const joint of value) {
    const pair = Array.isArray(joint) && joint.length === 2 && joint.every(isPixel)
    if (joint !== null && !pair) return `a joint must be [x, y] or null, got ${quote(joint)}`
    body.push(joint && { x: joint[0], y: joint[1] })
  }
  return body
}

/**
 * Writes the text; no people give the empty text, which means automatic.
 * @param {StoredPlacements} placements
 */
export function serialisePlacements({ people, width, height, extra = {} }) {
  if (people.length === 0) return ''
  return JSON.stringify({
    version: SCHEMA_VERSION,
    width,
    height,
    people: people.map(serialisePerson),
    ...extra
  })
}

/** @param {StoredPlacement} person */
function serialisePerson({ x, y, body, placed, patchStrength, name, extra }) {
  if (x === null && !name && patchStrength === 1 && Object.keys(extra).length === 0) return null
  return {
    ...(x !== null && y !== null && { x: toHundredths(x), y: toHundredths(y) }),
    ...(!placed && { placed: false }),
    ...(patchStrength !== 1 && { patch_strength: patchStrength }),
    ...(name && { name }),
    ...(body && {
      body: body.map((joint) => joint && [toHundredths(joint.x), toHundredths(joint.y)])
    }),
    ...extra
  }
}

/**
 * Rounds to a hundredth of a pixel: finer than any patch is placed, short to read.
 * @param {number} value
 */
const toHundredths = (value) => Math.round(value * 100) / 100 || 0

/** @param {Size} size */
export const meanSide = ({ width, height }) => Math.sqrt(width * height)

/**
 * Reads the text for an image of this size.
 * @param {unknown} text
 * @param {Size} size
 * @returns {State}
 */
export function readState(text, size) {
  const parsed = parsePlacements(text)
  if (typeof parsed === 'string') {
    return { placements: [], extra: {}, madeFor: null, problem: parsed }
  }
  const { people, width, height, extra } = parsed
  return {
    placements: people.map(({ x, y, body, ...settings }) => ({
      ...settings,
      body: body && scaleBody(body, 1 / meanSide(size)),
      point: x === null || y === null ? null : normalise({ x, y }, size)
    })),
    extra,
    madeFor: width && height ? { width, height } : null,
    problem: null
  }
}

/**
 * Writes placements for an image of this size.
 * @param {Pick<State, 'placements' | 'extra'>} state
 * @param {Size} size
 */
export function writeState({ placements, extra }, { width, height }) {
  const people = placements.map(({ point, body, ...settings }) => {
    const { x, y } = point ? denormalise(point, { width, height }) : { x: null, y: null }
    return { ...settings, x, y, body: body && scaleBody(body, meanSide({ width, height })) }
  })
  return serialisePlacements({ people, width, height, extra })
}

/**
 * The same placements at the same pixels of an image of another size.
 * @type {(state: State, from: Size, to: Size) => State}
 */
export function keepPixels(state, from, to) {
  const placements = state.placements.map((placement) => ({
    ...placement,
    point: placement.point && {
      x: (placement.point.x * from.width) / to.width,
      y: (placement.point.y * from.height) / to.height
    },
    body: placement.body && scaleBody(placement.body, meanSide(from) / meanSide(to))
  }))
  return { ...state, placements }
}
