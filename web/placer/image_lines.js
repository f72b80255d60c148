// The lines of the image that a dragged person snaps to: its centre and its thirds. Pure functions.

/**
 * @import { Size } from './geometry.js'
 * @import { Point } from './layout.js'
 *
 * @typedef {{x: number[], y: number[]}} Lines  upright lines at x and level lines at y, in pixels
 */

const SHARES = [1 / 3, 1 / 2, 2 / 3] // of a side

/** @type {(size: Size) => Lines} */
export const linesOf = ({ width, height }) => ({
  x: SHARES.map((share) => Math.round(share * width)),
  y: SHARES.map((share) => Math.round(share * height))
})

/**
 * The lines that a point is on.
 * @type {(point: Point, size: Size) => Lines}
 */
export function linesThrough(point, size) {
  const { x, y } = linesOf(size)
  return { x: x.filter((at) => at === point.x), y: y.filter((at) => at === point.y) }
}
