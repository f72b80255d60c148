// The people as the editor shows them: joins what the text says with what the graph says. Pure
// functions.

import { scaleBody } from './bodies.js'
import { addSkeletons, moveAll, storedBody } from './entry_bodies.js'
import { clampInside, denormalise, normalise } from './geometry.js'
import { usesPlacements } from './graph_state.js'
import { ARRANGEMENTS, assignLeftToRight, overlapping, row } from './layout.js'
import { findFreePoint, matchNames } from './newcomers.js'
import { meanSide } from './placements.js'

/**
 * @import { Body, Joints } from './bodies.js'
 * @import { GraphState } from './graph_state.js'
 * @import { Point } from './layout.js'
 * @import { Placement, State } from './placements.js'
 *
 * @typedef {object} Entry  one person, or a placement without a person
 * @property {number} index
 * @property {string | null} name
 * @property {Placement} placement
 * @property {Point | null} point
 *   in pixels; null for a person off the canvas of whom no point is known
 * @property {'text' | 'automatic' | 'provisional' | 'missing' | 'surplus' | 'new' | 'gone'} origin
 *   where the placement comes from: the text, the automatic arrangement, the same before a run
 *   finds the points, nowhere yet, or the text without a person for it; by name, a free point for
 *   someone who is new, or the text of someone who is gone
 * @property {Joints | null} joints  of the skeleton, in pixels
 * @property {'placement' | 'pose' | 'kind' | null} source  where the skeleton comes from
 *
 * @typedef {object} Change  of one person
 * @property {Point} [point]
 * @property {boolean} [placed]
 * @property {Body | null} [body]  in pixels from the point
 * @property {number} [patchStrength]
 *
 * @typedef {Record<number, Change>} Changes  by index
 */

/**
 * The points, in pixels, that people get when no one placed them by hand.
 * @param {number} count
 * @param {GraphState} graph
 */
export function automaticPoints(count, { width, height, patchSize, arrangement, poses, faces }) {
  const arrange = ARRANGEMENTS[arrangement]
  if (arrange) return arrange(count, width, height, patchSize)
  const found = arrangement === 'faces' ? faces : arrangement === 'placements' ? [] : poses
  const points = row(count, width, height, patchSize)
  return found.length >= count ? assignLeftToRight(points, found) : points
}

/**
 * Lists each person, and each placement too many. People have the placements of their names, or of
 * their positions where names do not tell.
 * @type {(state: State, graph: GraphState) => Entry[]}
 */
export function listEntries(state, graph) {
  const { placements } = state
  const fromText = !state.problem && usesPlacements(graph) && placements.length > 0
  const count = graph.count ?? (fromText ? placements.length : 0)
  const found = fromText ? matchByName(placements, graph) : null
  const unused = [...placements.keys()].filter((index) => !found?.includes(index))
  const order = found ? [...found, ...unused] : [...placements.keys()]
  const number = fromText ? Math.max(count, order.length) : count
  const points = automaticPoints(Math.max(count, 1), graph)
  const automatic = graph.awaited ? 'provisional' : 'automatic'
  const [lacking, spare] = found ? ['new', 'gone'] : ['missing', 'surplus']
  /** @type {Entry[]} */
  const entries = Array.from({ length: number }, (_, index) => {
    const stored = fromText ? placements[order[index] ?? -1] : undefined
    const { patchStrength = 1, extra = {} } = (found ? stored : placements[index]) ?? {}
    const unplaced = { placed: true, patchStrength, name: null, extra, point: null, body: null }
    const placement = stored ?? unplaced
    const origin = !fromText ? automatic : index >= count ? spare : stored ? 'text' : lacking
    const isNamed = graph.count === null || origin === 'gone'
    return {
      index,
      name: graph.names[index] ?? (isNamed ? placement.name : null),
      placement,
      point: stored ? stored.point && denormalise(stored.point, graph) : points[index],
      origin: /** @type {Entry['origin']} */ (origin),
      joints: null,
      source: null
    }
  })
  return addSkeletons(placeNewcomers(entries, count, graph), graph)
}

/** @type {(placements: Placement[], graph: GraphState) => (number | null)[] | null} */
function matchByName(placements, { count, names }) {
  if (count === null || names.length !== count) return null
  const stored = placements.map(({ name }) => name)
  const placed = placements.map((placement) => placement.placed && Boolean(placement.point))
  return matchNames(stored, placed, names)
}

/**
 * Places people who are new where they are apart from the others.
 * @type {(entries: Entry[], count: number, graph: GraphState) => Entry[]}
 */
function placeNewcomers(entries, count, { width, height, patchSize }) {
  const others = entries.flatMap(({ origin, placement, point }) =>
    origin === 'text' && placement.placed && point ? [point] : []
  )
  return entries.map((entry) => {
    if (entry.origin !== 'new') return entry
    const point = findFreePoint(entry.index, count, others, width, height, patchSize)
    others.push(point)
    return { ...entry, point }
  })
}

/**
 * The person's name, or their number while it is not known.
 * @param {Pick<Entry, 'name' | 'index'>} entry
 */
export const nameOf = ({ name, index }) => name || `Person ${index + 1}`

/**
 * The entries that have a patch on the canvas.
 * @param {Entry[]} entries
 */
export const placedEntries = (entries) => entries.filter((entry) => entry.point && isPlaced(entry))

/**
 * Whether an entry is of someone who comes in, not a placement too many.
 * @param {Entry} entry
 */
export const isPerson = ({ origin }) => origin !== 'surplus' && origin !== 'gone'

/**
 * Whether someone who comes in is on the canvas.
 * @param {Entry} entry
 */
export const isPlaced = (entry) => isPerson(entry) && entry.placement.placed

/**
 * Points in the entries' order, null for those without a patch.
 * @type {(entries: Entry[]) => (Point | null)[]}
 */
export function pointsOf(entries) {
  const placed = new Set(placedEntries(entries))
  return entries.map((entry) => (placed.has(entry) ? entry.point : null))
}

/**
 * Whether people are only shown somewhere until a run finds their points.
 * @param {Entry[]} entries
 */
export const areProvisional = (entries) => entries.some(({ origin }) => origin === 'provisional')

/**
 * The pairs of people, as indices, whose patches are known to overlap.
 * @type {(entries: Entry[], graph: GraphState) => [number, number][]}
 */
export function overlapsOf(entries, { width, height, patchSize, patchSizeKnown, heads }) {
  if (!patchSizeKnown || areProvisional(entries)) return []
  return overlapping(pointsOf(entries), width, height, patchSize, heads)
}

/**
 * The placements after a change: of all entries, with some of them changed.
 *
 * People without a placement get the one that they are shown at, so that what is seen is what is
 * written.
 * @type {(entries: Entry[], changes: Changes, graph: GraphState) => Placement[]}
 */
export function applyChanges(entries, changes, graph) {
  return entries.map((entry) => {
    const change = changes[entry.index] ?? {}
    const { placement } = entry
    const {
      point = entry.point,
      placed = placement.placed,
      body,
      patchStrength = placement.patchStrength
    } = change
    return {
      ...placement,
      placed,
      patchStrength,
      point: point && normalise(point, graph),
      body: body === undefined ? placement.body : body && scaleBody(body, 1 / meanSide(graph)),
      name: entry.name ?? entry.placement.name
    }
  })
}

/**
 * The changes that assign people from left to right: to the targets, or to the current points with
 * the bodies that are there.
 * @type {(entries: Entry[], targets: Point[], graph: GraphState) => Changes}
 */
export function assignPlacements(entries, targets, graph) {
  const points = pointsOf(entries).map(
    (point, index) => point && { ...point, body: storedBody(entries[index], graph) }
  )
  const assigned = /** @type {((Point & {body?: Body | null}) | null)[]} */ (
    assignLeftToRight(points, targets)
  )
  return Object.fromEntries(
    assigned.flatMap((target, index) => {
      if (!target) return []
      const { x, y, body = null } = target
      return [[index, { point: { x, y }, body }]]
    })
  )
}

/**
 * The changes that swap two people: the bodies stay where they are.
 * @type {(entries: Entry[], first: number, second: number, graph: GraphState) => Changes}
 */
export function swapPeople(entries, first, second, graph) {
  const [one, other] = [entries[first], entries[second]]
  if (!one.point || !other.point) return {}
  return {
    [first]: { point: other.point, body: storedBody(other, graph) },
    [second]: { point: one.point, body: storedBody(one, graph) }
  }
}

/**
 * The changes that bring people outside the image to its edge.
 * @type {(entries: Entry[], graph: GraphState) => Changes}
 */
export function moveInside(entries, graph) {
  const { width, height } = graph
  const points = pointsOf(entries).map((point) => point && clampInside(point, width, height))
  return moveAll(entries, points, graph)
}

/**
 * The changes that arrange the placed people.
 * @type {(entries: Entry[], arrangement: string, graph: GraphState) => Changes}
 */
export function arrange(entries, arrangement, graph) {
  const { width, height, patchSize } = graph
  const placed = placedEntries(entries)
  const points = ARRANGEMENTS[arrangement](placed.length, width, height, patchSize)
  /** @type {(Point | null)[]} */
  const byIndex = entries.map(() => null)
  placed.forEach(({ index }, nth) => {
    byIndex[index] = points[nth]
  })
  return moveAll(entries, byIndex, graph)
}

/**
 * The changes that put people back on the canvas: where they were, else at the automatic point.
 * @type {(entries: Entry[], indices: number[], graph: GraphState) => Changes}
 */
export function putBack(entries, indices, graph) {
  const automatic = automaticPoints(Math.max(graph.count ?? entries.length, 1), graph)
  const pointFor = (/** @type {number} */ index) =>
    clampInside(
      /** @type {Point} */ (entries[index].point ?? automatic[index]),
      graph.width,
      graph.height
    )
  return Object.fromEntries(
    indices.map((index) => [index, { placed: true, point: pointFor(index) }])
  )
}
