// Draws OpenPose skeletons to the pixel as idpatch_core/skeleton.py does, in the style of the
// training data. Pure functions of pixels: no canvas.

import { rint } from './layout.js'

/**
 * @import { Joints } from './bodies.js'
 *
 * @typedef {object} Pixels  a part of an image
 * @property {Uint8ClampedArray<ArrayBuffer>} data  RGBA
 * @property {number} left
 * @property {number} top
 * @property {number} width
 * @property {number} height
 *
 * @typedef {[red: number, green: number, blue: number]} Colour
 */

const STICK_WIDTH = 4 // half of it, in the middle
const STICK_OPACITY = 0.6
const DISC = [0, -2, -3, -3, -4, -3, -3, -2, 0] // where the rows of a joint’s disc begin
const RADIUS = 4
const MARGIN = RADIUS + 2 // of pixels around the joints

/** @type {[number, number][]} */
export const LIMBS = [
  [1, 2],
  [1, 5],
  [2, 3],
  [3, 4],
  [5, 6],
  [6, 7],
  [1, 8],
  [8, 9],
  [9, 10],
  [1, 11],
  [11, 12],
  [12, 13],
  [1, 0],
  [0, 14],
  [14, 16],
  [0, 15],
  [15, 17]
]
/** @type {Colour[]} */
const COLOURS = [
  [255, 0, 0],
  [255, 85, 0],
  [255, 170, 0],
  [255, 255, 0],
  [170, 255, 0],
  [85, 255, 0],
  [0, 255, 0],
  [0, 255, 85],
  [0, 255, 170],
  [0, 255, 255],
  [0, 170, 255],
  [0, 85, 255],
  [0, 0, 255],
  [85, 0, 255],
  [170, 0, 255],
  [255, 0, 255],
  [255, 0, 170],
  [255, 0, 85]
]

/**
 * The pixels that people cover in an image of a size, transparent around them; null if none.
 * @type {(people: Joints[], width: number, height: number) => Pixels | null}
 */
export function drawSkeletons(people, width, height) {
  const joints = people.flat().filter((joint) => joint !== null)
  if (!joints.length) return null
  const [xs, ys] = [joints.map(({ x }) => x), joints.map(({ y }) => y)]
  const left = Math.max(Math.floor(Math.min(...xs)) - MARGIN, 0)
  const top = Math.max(Math.floor(Math.min(...ys)) - MARGIN, 0)
  const right = Math.min(Math.ceil(Math.max(...xs)) + MARGIN, width)
  const bottom = Math.min(Math.ceil(Math.max(...ys)) + MARGIN, height)
  if (right <= left || bottom <= top) return null
  const part = { left, top, width: right - left, height: bottom - top }
  const discs = new Uint8ClampedArray(part.width * part.height * 4)
  for (const person of people) {
    const ends = LIMBS.filter(([a, b]) => person[a] && person[b]).flat()
    for (const index of [...new Set(ends)].sort((a, b) => a - b)) {
      const { x, y } = /** @type {import('./layout.js').Point} */ (person[index])
      const [column, row] = [Math.trunc(x), Math.trunc(y)]
      DISC.forEach((start, nth) => {
        fill(discs, part, row + nth - RADIUS, column + start, column - start, COLOURS[index])
      })
    }
  }
  const data = new Uint8ClampedArray(discs)
  for (const person of people) {
    LIMBS.forEach(([from, to], index) => {
      const [a, b] = [person[from], person[to]]
      if (!a || !b) return
      for (const [row, [start, end]] of outline(stick(a, b))) {
        fill(data, part, row, start, end, COLOURS[index])
      }
    })
  }
  for (let at = 0; at < data.length; at += 4) {
    if (!data[at + 3]) continue
    for (let channel = at; channel < at + 3; channel++) {
      data[channel] = rint((1 - STICK_OPACITY) * discs[channel] + STICK_OPACITY * data[channel])
    }
  }
  return { data, ...part }
}

/**
 * Fills a part of a row, both ends included.
 * @type {(data: Uint8ClampedArray, part: Omit<Pixels, 'data'>, row: number, start: number,
 *   end: number, colour: Colour) => void}
 */
function fill(data, { left, top, width, height }, row, start, end, [red, green, blue]) {
  if (row < top || row >= top + height) return
  const last = Math.min(end - left, width - 1)
  for (let x = Math.max(start - left, 0); x <= last; x++) {
    const at = ((row - top) * width + x) * 4
    data[at] = red
    data[at + 1] = green
    data[at + 2] = blue
    data[at + 3] = 255
  }
}

/**
 * The corners of an ellipse from a to b, on whole pixels.
 * @type {(a: {x: number, y: number}, b: {x: number, y: number}) => [number, number][]}
 */
function stick(a, b) {
  const [x, y] = [Math.trunc((a.x + b.x) / 2), Math.trunc((a.y + b.y) / 2)]
  const long = Math.trunc(Math.hypot(a.x - b.x, a.y - b.y) / 2)
  const turn = Math.trunc(Math.atan2(a.y - b.y, a.x - b.x) * (180 / Math.PI))
  const [cos, sin] = [Math.cos((turn * Math.PI) / 180), Math.sin((turn * Math.PI) / 180)]
  /** @type {[number, number][]} */
  const corners = []
  for (let degrees = 0; degrees <= 360; degrees++) {
    const angle = (degrees * Math.PI) / 180
    const [u, v] = [long * Math.cos(angle), STICK_WIDTH * Math.sin(angle)]
    corners.push([rint(x + u * cos - v * sin), rint(y + u * sin + v * cos)])
  }
  return corners
}

/**
 * The first and last pixel of each row of a convex polygon.
 * @param {[number, number][]} corners
 */
function outline(corners) {
  /** @type {Map<number, [number, number]>} */
  const rows = new Map()
  const mark = (/** @type {number} */ x, /** @type {number} */ y) => {
    const row = rows.get(y)
    if (!row) rows.set(y, [x, x])
    else if (x < row[0]) row[0] = x
    else if (x > row[1]) row[1] = x
  }
  corners.forEach((corner, index) => {
    const before = corners[(index || corners.length) - 1]
    traceLine(before, corner, mark)
    // OpenCV also fills from edge to edge, and rounds a half to the right there.
    const [[x, y], [toX, toY]] = before[1] < corner[1] ? [before, corner] : [corner, before]
    for (let row = y; row < toY; row++) {
      mark(Math.round(x + ((toX - x) * (row - y)) / (toY - y)), row)
    }
  })
  return rows
}

/**
 * Visits the pixels of a line by Bresenham's algorithm, from left to right.
 * @type {(a: [number, number], b: [number, number], visit: (x: number, y: number) => void) => void}
 */
function traceLine(a, b, visit) {
  const [[fromX, fromY], [toX, toY]] = a[0] <= b[0] ? [a, b] : [b, a]
  const [wide, high, down] = [toX - fromX, Math.abs(toY - fromY), Math.sign(toY - fromY)]
  const steep = high > wide
  const [long, short] = steep ? [high, wide] : [wide, high]
  let error = long - 2 * short
  for (let [x, y, step] = [fromX, fromY, 0]; step <= long; step++) {
    visit(x, y)
    const aside = error < 0
    error += 2 * (aside ? long - short : -short)
    x += steep ? Number(aside) : 1
    y += steep || aside ? down : 0
  }
}
