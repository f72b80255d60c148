// The built-in poses as in idpatch_core/poses.py, and how OpenPose skeletons are drawn. Pure
// functions; points are in pixels.

/**
 * @import { Point } from './layout.js'
 * @typedef {{width: number, height: number}} Size
 */

// A standing person, 1 high, in OpenPose-18 order: x from the middle of the body, y from the top.
/** @type {[number, number][]} */
const STANDING = [
  [0, 0.085],
  [0, 0.175],
  [-0.11, 0.18],
  [-0.14, 0.34],
  [-0.13, 0.49],
  [0.11, 0.18],
  [0.14, 0.34],
  [0.13, 0.49],
  [-0.065, 0.5],
  [-0.07, 0.73],
  [-0.075, 0.95],
  [0.065, 0.5],
  [0.07, 0.73],
  [0.075, 0.95],
  [-0.018, 0.07],
  [0.018, 0.07],
  [-0.04, 0.08],
  [0.04, 0.08]
]
const BODY_WIDTH = 0.3 // of a person's height
const HEIGHTS = [1, 0.93, 0.97, 0.91, 0.96, 0.94] // of the tallest person, left to right
const GROUND = 0.96 // of the image's height

const NOSE = 0

/** How many people each built-in pose shows. */
export const PRESETS = Object.fromEntries(
  HEIGHTS.map((_, index) => [`standing_${index + 1}`, index + 1])
)

/**
 * People side by side in an image, each with 18 joints.
 * @type {(count: number, size: Size) => Point[][]}
 */
export function makeStanding(count, { width, height }) {
  const space = width / count
  const tallest = Math.min(0.88 * height, space / BODY_WIDTH)
  return HEIGHTS.slice(0, count).map((share, index) => {
    const size = tallest * share
    return STANDING.map(([x, y]) => ({
      x: space * (index + 0.5) + x * size,
      y: GROUND * height - (1 - y) * size
    }))
  })
}

/**
 * Skeletons of an image of one size in the pixels of another.
 * @type {(skeletons: Point[][], from: Size, to: Size) => Point[][]}
 */
export const scaleSkeletons = (skeletons, from, to) =>
  skeletons.map((joints) =>
    joints.map(({ x, y }) => ({ x: x * (to.width / from.width), y: y * (to.height / from.height) }))
  )

/**
 * The noses of complete skeletons, the largest person first, as the node prefers them.
 * @type {(skeletons: Point[][]) => Point[]}
 */
export function nosesOf(skeletons) {
  const extent = (/** @type {Point[]} */ joints) => {
    const [xs, ys] = [joints.map(({ x }) => x), joints.map(({ y }) => y)]
    return Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys))
  }
  return [...skeletons].sort((a, b) => extent(b) - extent(a)).map((joints) => joints[NOSE])
}
