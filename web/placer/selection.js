// Who is selected, and where several selected people go together. Pure functions; a selection is a
// list of indices whose last is the person who was selected last, and points are in output pixels.

/**
 * @import { Size } from './geometry.js'
 * @import { Point } from './layout.js'
 *
 * @typedef {(Point | null)[]} Points  by index; null is a person off the canvas, or no change
 */

/**
 * Whether a click or a press adds to the selection.
 * @param {{shiftKey: boolean, ctrlKey: boolean, metaKey: boolean}} event
 */
export const isAdding = ({ shiftKey, ctrlKey, metaKey }) => shiftKey || ctrlKey || metaKey

/**
 * Adds a person as the last one, or takes them out.
 * @type {(selection: number[], index: number) => number[]}
 */
export function toggleSelected(selection, index) {
  const others = selection.filter((one) => one !== index)
  return others.length < selection.length ? others : [...others, index]
}

/**
 * Makes a person the last of the selection.
 * @type {(selection: number[], index: number) => number[]}
 */
export const putLast = (selection, index) => [...selection.filter((one) => one !== index), index]

/**
 * The people who move with one: all selected if they are selected, otherwise no one else.
 * @type {(selection: number[], index: number) => number[]}
 */
export const groupOf = (selection, index) => (selection.includes(index) ? selection : [index])

/**
 * The points of a group after one of them, the leader, has gone to a point. All go the same way,
 * only as far as all stay inside the image; those outside it do not go farther out.
 * @type {(points: Points, group: number[], leader: number, to: Point, size: Size) => Points}
 */
export function shiftTogether(points, group, leader, to, { width, height }) {
  const start = points[leader]
  if (!start) return points.map(() => null)
  const members = group.flatMap((index) => points[index] ?? [])
  const x = limitShift(
    members.map((point) => point.x),
    to.x - start.x,
    width
  )
  const y = limitShift(
    members.map((point) => point.y),
    to.y - start.y,
    height
  )
  const free = x === to.x - start.x && y === to.y - start.y
  return points.map((point, index) => {
    if (!point || !group.includes(index)) return null
    if (index === leader && free) return to
    return x || y ? { x: point.x + x, y: point.y + y } : null
  })
}

/** @type {(values: number[], shift: number, side: number) => number} */
function limitShift(values, shift, side) {
  const least = Math.min(-Math.min(...values), 0)
  const most = Math.max(side - 1 - Math.max(...values), 0)
  return Math.min(Math.max(shift, least), most)
}

/**
 * The points that put the selected people at the height of the one selected last.
 * @type {(points: Points, selection: number[]) => Points}
 */
export function toSameHeight(points, selection) {
  const y = selection.flatMap((index) => points[index]?.y ?? []).at(-1)
  return points.map((point, index) =>
    point && y !== undefined && point.y !== y && selection.includes(index) ? { ...point, y } : null
  )
}

/**
 * The points that space the selected people evenly from the leftmost to the rightmost, who stay;
 * heights stay.
 * @type {(points: Points, selection: number[]) => Points}
 */
export function toEvenSpacing(points, selection) {
  const placed = selection
    .flatMap((index) => {
      const point = points[index]
      return point ? [{ index, x: point.x }] : []
    })
    .sort((a, b) => a.x - b.x || a.index - b.index)
  const [first, last] = [placed[0], placed.at(-1)]
  /** @type {Points} */
  const spaced = points.map(() => null)
  if (!first || !last) return spaced
  const gap = (last.x - first.x) / (placed.length - 1)
  placed.slice(1, -1).forEach(({ index, x: before }, nth) => {
    const point = points[index]
    const x = Math.round(first.x + gap * (nth + 1))
    if (point && x !== before) spaced[index] = { ...point, x }
  })
  return spaced
}
