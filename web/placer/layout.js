// Points, patches and arrangements as in idpatch_core/layout.py, to the pixel. Pure functions on
// points in output pixels.

/**
 * @import { Size } from './geometry.js'
 *
 * @typedef {{x: number, y: number}} Point
 * @typedef {{x: number, y: number, size: number}} Head
 *   the nose, and the side of a patch as large as the face
 */

const ASPECT_TOLERANCE = 0.02 // relative difference up to which points can be rescaled

/**
 * Tells whether two sizes have the same aspect ratio, up to a tolerance.
 * @type {(size: Size, other: Size) => boolean}
 */
export function hasSameAspect(size, other) {
  const ratio = (size.width * other.height) / (size.height * other.width)
  return Math.abs(ratio - 1) <= ASPECT_TOLERANCE
}

/**
 * Rounds as Python and NumPy do: a half goes to the even neighbour.
 * @param {number} value
 */
export function rint(value) {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return (floor % 2 === 0 ? floor : floor + 1) || 0
}

/** @type {(point: Point) => Point} */
const rintPoint = ({ x, y }) => ({ x: rint(Math.fround(x)), y: rint(Math.fround(y)) })

/**
 * Tells whether a person at this point gets a patch: it is a pixel of the image once rounded.
 * @type {(point: Point, width: number, height: number) => boolean}
 */
export function isInside(point, width, height) {
  const { x, y } = rintPoint(point)
  return x >= 0 && x < width && y >= 0 && y < height
}

/**
 * The square that a patch covers, with its top left corner.
 * @type {(point: Point, size: number) => {x: number, y: number, size: number}}
 */
export function patchSquare(point, size) {
  const half = Math.floor(size / 2)
  return { ...rintPoint({ x: point.x - half, y: point.y - half }), size }
}

/**
 * The side of the patch that a person gets at a point.
 *
 * There are `heads` where the model's patches are as large as the faces; a head counts within
 * half a patch.
 * @type {(point: Point, patchSize: number, heads: Head[]) => number}
 */
export function patchSide(point, patchSize, heads) {
  const [nearest] = heads
    .map((head) => ({ ...head, away: Math.hypot(head.x - point.x, head.y - point.y) }))
    .sort((a, b) => a.away - b.away)
  return nearest && nearest.away <= patchSize / 2 ? nearest.size : patchSize
}

/**
 * The pairs of indices whose patches share pixels; null is a person without a patch.
 * @param {(Point | null)[]} points
 * @param {number} width
 * @param {number} height
 * @param {Head[]} heads
 */
export function overlapping(points, width, height, patchSize = 64, heads = []) {
  const squares = points.flatMap((point, index) =>
    point && isInside(point, width, height)
      ? [{ index, side: patchSide(point, patchSize, heads), ...rintPoint(point) }]
      : []
  )
  /** @type {[number, number][]} */
  const pairs = []
  squares.forEach((a, nth) => {
    for (const b of squares.slice(nth + 1)) {
      const near = (a.side + b.side) / 2
      if (Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y)) < near) pairs.push([a.index, b.index])
    }
  })
  return pairs
}

/**
 * The indices of the points outside the image.
 * @type {(points: (Point | null)[], width: number, height: number) => number[]}
 */
export function outside(points, width, height) {
  return points.flatMap((point, index) => (point && !isInside(point, width, height) ? [index] : []))
}

/**
 * Assigns points to the people from left to right, in the people's order.
 *
 * Where there are enough targets (poses or faces) for each person who has a point, these are the
 * points; otherwise the present ones are assigned anew. Null stays null.
 * @type {(points: (Point | null)[], targets?: Point[]) => (Point | null)[]}
 */
export function assignLeftToRight(points, targets = []) {
  const present = points.filter((point) => point !== null)
  const used = targets.length >= present.length ? targets.slice(0, present.length) : present
  const sorted = [...used].sort((a, b) => a.x - b.x || a.y - b.y)
  return points.map((point) => (point ? (sorted.shift() ?? null) : null))
}

/**
 * @typedef {(count: number, width: number, height: number, patchSize?: number) => Point[]} Arrange
 */

/**
 * One row, or as many as keep the patches apart in a narrow image.
 * @type {Arrange}
 */
export function row(count, width, height, patchSize = 64) {
  return rows(count, width, height, patchSize, 1)
}

/**
 * Two rows, the back one first, or more where the image is narrow.
 * @type {Arrange}
 */
export function twoRows(count, width, height, patchSize = 64) {
  return rows(count, width, height, patchSize, Math.min(2, count))
}

/**
 * A row that hangs down at both ends; rows in a narrow image.
 * @type {Arrange}
 */
export function arc(count, width, height, patchSize = 64) {
  const points = row(count, width, height, patchSize)
  if (points.length === 0 || new Set(points.map(({ y }) => y)).size > 1) return points
  const fall = Math.min(0.2 * height, Math.max(height - patchSize / 2 - points[0].y, 0))
  return points.map(({ x, y }) => ({ x, y: rint(y + fall * ((2 * x) / width - 1) ** 2) }))
}

/** @type {Record<string, Arrange>} */
export const ARRANGEMENTS = { row, two_rows: twoRows, arc }

/**
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @param {number} patchSize
 * @param {number} least
 */
function rows(count, width, height, patchSize, least) {
  const across = Math.max(Math.floor(width / patchSize), 1)
  let number = Math.max(least, Math.ceil(count / across))
  number = Math.max(Math.min(number, Math.floor(height / patchSize)), 1)
  const gap = Math.max((0.3 * height) / Math.max(number - 1, 1), patchSize)
  const depth = gap * (number - 1)
  const [highest, lowest] = [patchSize / 2, height - patchSize / 2]
  const middle = (number === 1 ? 0.35 : 0.45) * height - depth / 2
  const top = Math.max(Math.min(Math.max(middle, highest), lowest - depth), 0)
  const points = []
  for (let level = 0; level < number; level++) {
    const size = Math.floor(count / number) + (level < count % number ? 1 : 0)
    for (let index = 0; index < size; index++) {
      points.push({ x: rint(((index + 0.5) * width) / size), y: rint(top + gap * level) })
    }
  }
  return points
}
