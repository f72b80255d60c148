// Pointing, dragging and the stage's coordinates. Pure functions; points are in output pixels
// unless a function says otherwise.

/**
 * @import { Lines } from './image_lines.js'
 * @import { Point } from './layout.js'
 * @typedef {{width: number, height: number}} Size
 * @typedef {{scale: number, left: number, top: number}} Viewport
 *   where the image is in the stage, in page pixels before zooming
 */

const ALIGNING = 3 / 7 // of the reach of targets

/**
 * Keeps a point on a pixel of the image.
 * @type {(point: Point, width: number, height: number) => Point}
 */
export function clampInside({ x, y }, width, height) {
  return {
    x: Math.min(Math.max(Math.round(x), 0), width - 1),
    y: Math.min(Math.max(Math.round(y), 0), height - 1)
  }
}

/**
 * The nearest target within reach, else the point itself.
 * @type {(point: Point, targets: Point[], reach: number) => Point}
 */
export function snap(point, targets, reach) {
  let [best, nearest] = [point, reach]
  for (const target of targets) {
    const distance = Math.hypot(target.x - point.x, target.y - point.y)
    if (distance <= nearest) [best, nearest] = [target, distance]
  }
  return best
}

/**
 * A point in line with others where it is nearly so: at the x of one, the y of one, or both;
 * otherwise on a line of the image.
 * @type {(point: Point, others: Point[], reach: number, lines?: Lines) => Point}
 */
export function align({ x, y }, others, reach, lines = { x: [], y: [] }) {
  const nearest = (/** @type {number} */ value, /** @type {number[]} */ values) =>
    values
      .filter((other) => Math.abs(other - value) <= reach)
      .sort((a, b) => Math.abs(a - value) - Math.abs(b - value))[0]
  const [xs, ys] = [others.map((other) => other.x), others.map((other) => other.y)]
  return {
    x: nearest(x, xs) ?? nearest(x, lines.x) ?? x,
    y: nearest(y, ys) ?? nearest(y, lines.y) ?? y
  }
}

/**
 * Where a dragged person is: as far from `start` as the pointer went, snapped, kept inside.
 * @param {Point} start
 * @param {Point} from  where the pointer was pressed
 * @param {Point} to  where it is now
 * @param {Size & {targets?: Point[], reach?: number, others?: Point[], lines?: Lines}} image
 */
export function drag(start, from, to, image) {
  const { width, height, targets = [], reach = 0, others = [], lines } = image
  const free = { x: start.x + to.x - from.x, y: start.y + to.y - from.y }
  const snapped = snap(free, targets, reach)
  const aligned = snapped === free ? align(free, others, reach * ALIGNING, lines) : snapped
  return clampInside(aligned, width, height)
}

/**
 * The index of the topmost point within reach, or -1; the last is on top, `first` above all.
 * @type {(points: (Point | null)[], pointer: Point, reach: number, first?: number) => number}
 */
export function hitTest(points, pointer, reach, first = -1) {
  const hits = points.flatMap((point, index) =>
    point && Math.hypot(point.x - pointer.x, point.y - pointer.y) <= reach ? [index] : []
  )
  return hits.includes(first) ? first : (hits.at(-1) ?? -1)
}

/**
 * Fits an image into a box.
 * @type {(size: Size, box: Size, margin?: number) => Viewport}
 */
export function contain({ width, height }, box, margin = 0) {
  const scale = Math.max(
    Math.min((box.width - 2 * margin) / width, (box.height - 2 * margin) / height),
    1e-6
  )
  return { scale, left: (box.width - width * scale) / 2, top: (box.height - height * scale) / 2 }
}

/** @type {(viewport: Viewport, point: Point) => Point} */
export const toStage = (viewport, { x, y }) => ({
  x: viewport.left + x * viewport.scale,
  y: viewport.top + y * viewport.scale
})

/** @type {(viewport: Viewport, point: Point) => Point} */
export const fromStage = (viewport, { x, y }) => ({
  x: (x - viewport.left) / viewport.scale,
  y: (y - viewport.top) / viewport.scale
})

/**
 * From pixels to coordinates in [0, 1].
 * @type {(point: Point, size: Size) => Point}
 */
export const normalise = ({ x, y }, { width, height }) => ({ x: x / width, y: y / height })

/**
 * From coordinates in [0, 1] to pixels.
 * @type {(point: Point, size: Size) => Point}
 */
export const denormalise = ({ x, y }, { width, height }) => ({ x: x * width, y: y * height })
