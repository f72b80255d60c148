// Draws OpenPose skeletons to the pixel as idpatch_core/skeleton.py does, in the style of the
// training data. Pure functions of pixels: no canvas.

import { rint } from './layout.js'

/**
 * @import { Joints } from './bodies.js'
 * @import { Point } from './layout.js'
 *
 * @typedef {{left: number, top: number, width: number, height: number}} Part  of an image
 *
 * @typedef {Part & {data: Uint8ClampedArray<ArrayBuffer>}} Pixels  RGBA
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

const DEGREES = Array.from({ length: 361 }, (_, degrees) => (degrees * Math.PI) / 180)
const [COS, SIN] = [DEGREES.map(Math.cos), DEGREES.map(Math.sin)]

/**
 * The colour, as RGBA in a word, of a pixel of the joint `disc` and the limb `stick`; 0 is none.
 * @type {(disc: number, stick: number) => Colour}
 */
function blend(disc, stick) {
  const under = disc ? COLOURS[disc - 1] : [0, 0, 0]
  if (!stick) return /** @type {Colour} */ (under)
  const over = COLOURS[stick - 1]
  const mixed = under.map((value, channel) =>
    rint((1 - STICK_OPACITY) * value + STICK_OPACITY * over[channel])
  )
  return /** @type {Colour} */ (mixed)
}

const KINDS = COLOURS.length + 1 // of joints, none included
const BLENDS = new Uint32Array(KINDS * KINDS)
for (let disc = 0; disc < KINDS; disc++) {
  for (let stick = 0; stick < KINDS; stick++) {
    const bytes = new Uint8Array([...blend(disc, stick), disc || stick ? 255 : 0])
    BLENDS[disc * KINDS + stick] = new Uint32Array(bytes.buffer)[0]
  }
}

/**
 * The pixels that people cover in an image of a size, transparent around them; null if none.
 * @type {(people: Joints[], width: number, height: number) => Pixels | null}
 */
export function drawSkeletons(people, width, height) {
  const part = coverJoints(people, width, height)
  if (!part) return null
  const discs = new Uint8Array(part.width * part.height) // the joint of each pixel, from 1
  const sticks = new Uint8Array(part.width * part.height) // the limb
  for (const person of people) {
    const ends = LIMBS.filter(([a, b]) => person[a] && person[b]).flat()
    for (const index of [...new Set(ends)].sort((a, b) => a - b)) {
      const { x, y } = /** @type {Point} */ (person[index])
      const [column, row] = [Math.trunc(x), Math.trunc(y)]
      DISC.forEach((start, nth) => {
        fill(discs, part, row + nth - RADIUS, column + start, column - start, index + 1)
      })
    }
  }
  for (const person of people) {
    LIMBS.forEach(([from, to], index) => {
      const [a, b] = [person[from], person[to]]
      if (a && b) fillStick(sticks, part, a, b, index + 1)
    })
  }
  const words = new Uint32Array(discs.length)
  for (let at = 0; at < words.length; at++) {
    if (discs[at] || sticks[at]) words[at] = BLENDS[discs[at] * KINDS + sticks[at]]
  }
  return { data: new Uint8ClampedArray(words.buffer), ...part }
}

/**
 * Divides people into groups that share no pixel, so that each can be drawn alone; those of a group
 * keep their order. People outside the image are in none.
 * @type {(people: Joints[], width: number, height: number) => Joints[][]}
 */
export function groupTouching(people, width, height) {
  /** @type {{members: number[], parts: Part[]}[]} */
  let groups = []
  for (const [index, person] of people.entries()) {
    const part = coverJoints([person], width, height)
    if (!part) continue
    const touched = groups.filter(({ parts }) => parts.some((other) => areTouching(part, other)))
    groups = groups.filter((group) => !touched.includes(group))
    groups.push({
      members: [...touched.flatMap(({ members }) => members), index].sort((a, b) => a - b),
      parts: [...touched.flatMap(({ parts }) => parts), part]
    })
  }
  return groups.map(({ members }) => members.map((index) => people[index]))
}

/** @type {(a: Part, b: Part) => boolean} */
const areTouching = (a, b) =>
  a.left < b.left + b.width &&
  b.left < a.left + a.width &&
  a.top < b.top + b.height &&
  b.top < a.top + a.height

/**
 * The part of an image around all joints; null where there is none.
 * @type {(people: Joints[], width: number, height: number) => Part | null}
 */
function coverJoints(people, width, height) {
  const joints = people.flat().filter((joint) => joint !== null)
  if (!joints.length) return null
  const [xs, ys] = [joints.map(({ x }) => x), joints.map(({ y }) => y)]
  const left = Math.max(Math.floor(Math.min(...xs)) - MARGIN, 0)
  const top = Math.max(Math.floor(Math.min(...ys)) - MARGIN, 0)
  const right = Math.min(Math.ceil(Math.max(...xs)) + MARGIN, width)
  const bottom = Math.min(Math.ceil(Math.max(...ys)) + MARGIN, height)
  if (right <= left || bottom <= top) return null
  return { left, top, width: right - left, height: bottom - top }
}

/**
 * Fills a part of a row, both ends included.
 * @type {(pixels: Uint8Array, part: Part, row: number, start: number, end: number,
 *   value: number) => void}
 */
function fill(pixels, { left, top, width, height }, row, start, end, value) {
  if (row < top || row >= top + height || end < left || start >= left + width) return
  const begin = (row - top) * width
  const last = Math.min(end - left, width - 1)
  pixels.fill(value, begin + Math.max(start - left, 0), begin + last + 1)
}

/**
 * Fills a limb: an ellipse from a to b, as a polygon with corners on whole pixels.
 * @type {(pixels: Uint8Array, part: Part, a: Point, b: Point, value: number) => void}
 */
function fillStick(pixels, part, a, b, value) {
  const corners = outline(a, b)
  const ys = corners.map(([, y]) => y)
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)]
  /** @type {[number[], number[]]} */
  const [starts, ends] = [new Array(bottom - top + 1), new Array(bottom - top + 1)]
  starts.fill(Number.POSITIVE_INFINITY)
  ends.fill(Number.NEGATIVE_INFINITY)
  const mark = (/** @type {number} */ x, /** @type {number} */ y) => {
    if (x < starts[y - top]) starts[y - top] = x
    if (x > ends[y - top]) ends[y - top] = x
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
  starts.forEach((start, row) => {
    fill(pixels, part, top + row, start, ends[row], value)
  })
}

/**
 * The corners of an ellipse from a to b, on whole pixels.
 * @type {(a: Point, b: Point) => [number, number][]}
 */
function outline(a, b) {
  const [x, y] = [Math.trunc((a.x + b.x) / 2), Math.trunc((a.y + b.y) / 2)]
  const long = Math.trunc(Math.hypot(a.x - b.x, a.y - b.y) / 2)
  const turn = Math.trunc(Math.atan2(a.y - b.y, a.x - b.x) * (180 / Math.PI))
  const [cos, sin] = [Math.cos((turn * Math.PI) / 180), Math.sin((turn * Math.PI) / 180)]
  /** @type {[number, number][]} */
  const corners = []
  for (let degrees = 0; degrees <= 360; degrees++) {
    const [u, v] = [long * COS[degrees], STICK_WIDTH * SIN[degrees]]
    const [column, row] = [rint(x + u * cos - v * sin), rint(y + u * sin + v * cos)]
    const last = corners.at(-1)
    if (!last || last[0] !== column || last[1] !== row) corners.push([column, row])
  }
  return corners
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
