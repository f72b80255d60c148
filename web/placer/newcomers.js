// Gives stored placements to people by name, and finds points for people who are new, as
// idpatch_core/newcomers.py does. Pure functions.

import { row } from './layout.js'

/** @import { Point } from './layout.js' */

const GAPS = [2, 1] // between the patches of a newcomer and of the others: tried in this order

/**
 * Which stored placement each person has, null for someone who has none; null where names do not
 * tell. A new person takes the placement of someone who is gone.
 * @type {(stored: (string | null)[], placed: boolean[], names: (string | null)[]) =>
 *   (number | null)[] | null}
 */
export function matchNames(stored, placed, names) {
  if ([...stored, ...names].some((name) => !name)) return null
  if (new Set(stored).size < stored.length || new Set(names).size < names.length) return null
  const found = names.map((name) => (stored.includes(name) ? stored.indexOf(name) : null))
  const free = stored.flatMap((name, index) =>
    !names.includes(name) && placed[index] ? [index] : []
  )
  const isNew = (/** @type {number} */ person) => found[person] === null
  const people = [...names.keys()]
  for (const person of people.filter((one) => isNew(one) && free.includes(one))) {
    found[person] = person
    free.splice(free.indexOf(person), 1)
  }
  for (const person of people) if (isNew(person)) found[person] = free.shift() ?? null
  return found
}

/**
 * The free point nearest to where a person would be in a row: inside the image, and apart from the
 * others, if there is such a point.
 * @type {(person: number, count: number, others: Point[], width: number, height: number,
 *   patchSize: number) => Point}
 */
export function findFreePoint(person, count, others, width, height, patchSize) {
  const preferred = row(count, width, height, patchSize)[person]
  const step = patchSize / 2
  const candidates = [preferred]
  for (let y = 0; y < Math.max(Math.floor(height / step) - 1, 1); y++) {
    for (let x = 0; x < Math.max(Math.floor(width / step) - 1, 1); x++) {
      candidates.push({ x: step * (x + 1), y: step * (y + 1) })
    }
  }
  for (const gap of GAPS) {
    /** @type {Point | null} */
    let best = null
    let nearest = Number.POSITIVE_INFINITY
    for (const point of candidates) {
      const apart = others.every(
        ({ x, y }) => Math.max(Math.abs(point.x - x), Math.abs(point.y - y)) >= gap * patchSize
      )
      const away = Math.hypot(point.x - preferred.x, point.y - preferred.y)
      if (apart && away < nearest) [best, nearest] = [point, away]
    }
    if (best) return best
  }
  return preferred
}
