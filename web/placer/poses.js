// The built-in poses as in idpatch_core/poses.py. Pure functions; points are in pixels.

import { BODY_WIDTH, boxOf, GROUND, KINDS, MIRRORED } from './bodies.js'

/**
 * @import { Joints, Pair } from './bodies.js'
 * @import { Point } from './layout.js'
 *
 * @typedef {{width: number, height: number}} Size
 * @typedef {Point & {skeleton: number}} Target  the point of a head, and the index of its skeleton
 */

const HEIGHTS = [1, 0.93, 0.97, 0.91, 0.96, 0.94, 0.98, 0.92, 0.99, 0.95, 0.97, 0.93]
const MOST = HEIGHTS.length // people of a built-in pose
/** @type {Record<string, number>} */
const BOTTOMS = { sitting: 0.9, half_length: 0.5, portrait: 0.2, child: 0.69 }
/** @type {Record<string, number>} */
const GROUNDS = { half_length: 1, portrait: 0.66 }
const HUG = 0.24 // distance of two people who hug, of their height
const FALL = 0.1 // of the image's height, from the middle of an arc to its ends

/** @type {(length: number) => number[]} */
const range = (length) => Array.from({ length }, (_, index) => index)

/**
 * A person of a kind, `size` pixels high if standing, on the ground at x.
 * @type {(kind: string, size: number, x: number, ground: number, mirrored?: boolean) => Joints}
 */
function put(kind, size, x, ground, mirrored = false) {
  const bottom = BOTTOMS[kind] ?? 1
  /** @type {Pair[]} */
  let table = KINDS[kind]
  if (mirrored) {
    table = MIRRORED.map((joint) => {
      const pair = table[joint]
      return pair && [-pair[0], pair[1]]
    })
  }
  return table.map(
    (pair) => pair && { x: x + pair[0] * size, y: ground - (bottom - pair[1]) * size }
  )
}

/** @type {(kind: string, count: number, size: Size) => Joints[]} */
function makeRow(kind, count, { width, height }) {
  const [space, ground] = [width / count, GROUNDS[kind] ?? GROUND]
  const tallest = Math.min((0.88 * height) / (BOTTOMS[kind] ?? 1), space / BODY_WIDTH)
  return range(count).map((i) =>
    put(kind, tallest * HEIGHTS[i], space * (i + 0.5), ground * height)
  )
}

/** @type {(count: number, size: Size) => Joints[]} */
function makePairs(count, { width, height }) {
  const space = width / (count / 2)
  const size = Math.min(0.88 * height, space / (BODY_WIDTH + HUG))
  return range(count).map((i) => {
    const x = space * (Math.floor(i / 2) + 0.5) + (i % 2 ? 0.5 : -0.5) * HUG * size
    return put('hugging', size * HEIGHTS[i], x, GROUND * height, i % 2 === 1)
  })
}

/** @type {(count: number, size: Size) => Joints[]} */
function makeArc(count, size) {
  const ground = GROUND * size.height
  return makeRow('standing', count, size).map((joints, i) => {
    const away = 1 - ((2 * (i + 0.5)) / count - 1) ** 2
    const [middle, shrunk] = [(size.width / count) * (i + 0.5), 1 - FALL * away]
    return joints.map(
      (joint) =>
        joint && {
          x: middle + (joint.x - middle) * shrunk,
          y: ground + (joint.y - ground) * shrunk - FALL * size.height * away
        }
    )
  })
}

/** @type {(count: number, size: Size) => Joints[]} */
function makeTwoRows(count, { width, height }) {
  const front = Math.floor(count / 2)
  const back = count - front
  const space = width / back
  const size = Math.min(0.8 * height, (1.1 * space) / BODY_WIDTH)
  const shift = front === back ? space / 4 : 0
  return [
    ...range(back).map((i) =>
      put('standing', size * HEIGHTS[i], space * (i + 0.5) - shift, 0.88 * height)
    ),
    ...range(front).map((i) =>
      put('sitting', size * HEIGHTS[i], space * (i + 1) - shift, GROUND * height)
    )
  ]
}

/**
 * Who makes each group of people, and of how many.
 * @type {Record<string, {make: (count: number, size: Size) => Joints[], counts: number[]}>}
 */
const GROUPS = {
  standing: { make: (count, size) => makeRow('standing', count, size), counts: from(1, MOST) },
  two_rows: { make: makeTwoRows, counts: from(3, MOST) },
  arc: { make: makeArc, counts: from(3, MOST) },
  hugging: { make: makePairs, counts: [2, 4, 6] },
  ...Object.fromEntries(
    ['sitting', 'walking', 'half_length', 'portrait', 'child', 'back_turned'].map((kind) => [
      kind,
      {
        make: (/** @type {number} */ count, /** @type {Size} */ size) => makeRow(kind, count, size),
        counts: from(1, 6)
      }
    ])
  )
}

/** @type {(first: number, last: number) => number[]} */
function from(first, last) {
  return range(last - first + 1).map((index) => first + index)
}

/**
 * Makes the people of each built-in pose, such as standing_3, in an image.
 * @type {Record<string, (size: Size) => Joints[]>}
 */
export const PRESETS = Object.fromEntries(
  Object.entries(GROUPS).flatMap(([group, { make, counts }]) =>
    counts.map((count) => [`${group}_${count}`, (/** @type {Size} */ size) => make(count, size)])
  )
)

/**
 * Skeletons of an image of one size in the pixels of another.
 * @type {(skeletons: Joints[], from: Size, to: Size) => Joints[]}
 */
export const scaleSkeletons = (skeletons, from, to) =>
  skeletons.map((joints) =>
    joints.map(
      (joint) =>
        joint && { x: joint.x * (to.width / from.width), y: joint.y * (to.height / from.height) }
    )
  )

const [NOSE, R_EAR, L_EAR] = [0, 16, 17]

/**
 * The heads of built-in poses, the largest person first, as the node prefers them.
 * @type {(skeletons: Joints[]) => Target[]}
 */
export function headsOf(skeletons) {
  /** Of how prominent the person is: the share of joints that are seen, and the extent. */
  const prominence = (/** @type {Joints} */ joints) => {
    const box = boxOf(joints)
    const seen = joints.filter(Boolean).length / joints.length
    return box ? seen * Math.max(box.right - box.left, box.bottom - box.top) : 0
  }
  return skeletons
    .map((joints, skeleton) => ({ ...headOf(joints), skeleton, rank: prominence(joints) }))
    .sort((a, b) => b.rank - a.rank)
    .map(({ x, y, skeleton }) => ({ x, y, skeleton }))
}

/**
 * The point of a head: the nose, or the middle of the ears of a back.
 * @type {(joints: Joints) => Point}
 */
function headOf(joints) {
  if (joints[NOSE]) return joints[NOSE]
  const [right, left] = [joints[R_EAR], joints[L_EAR]]
  if (!right || !left) return { x: 0, y: 0 }
  return { x: (right.x + left.x) / 2, y: (right.y + left.y) / 2 }
}
