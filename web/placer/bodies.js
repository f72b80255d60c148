// Bodies as in idpatch_core/bodies.py: a person's OpenPose joints relative to the point of the face,
// and the built-in kinds. Pure functions; a joint that is not seen is null.

/**
 * @import { Point } from './layout.js'
 *
 * @typedef {(Point | null)[]} Joints  the 18 joints of OpenPose, in pixels of the image
 * @typedef {(Point | null)[]} Body  the same as offsets from the point of the face
 * @typedef {[number, number] | null} Pair
 */

// A standing person, 1 high, in OpenPose-18 order: x from the middle of the body, y from the top.
/** @type {Pair[]} */
export const STANDING = [
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
const FACE_Y = 0.085 // of the point of the face, from the top of the head
const FACE_WIDTH = 2.1 * 0.036 // of a standing person's height
export const BODY_WIDTH = 0.3 // of a person's height
export const GROUND = 0.96 // of the image's height
const LEAST_FACE = 0.4 // of the patch's width
/** For each joint, its counterpart on the other side. */
export const MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]

/**
 * A standing person with other joints; without `left`, both sides are the same.
 * @type {(right: Record<number, Pair>, left?: Record<number, Pair>) => Pair[]}
 */
function vary(right, left) {
  const person = [...STANDING]
  for (const [joint, pair] of Object.entries(right)) {
    person[Number(joint)] = pair
    const other = MIRRORED[Number(joint)]
    if (!left && other !== Number(joint)) person[other] = pair && [-pair[0], pair[1]]
  }
  for (const [joint, pair] of Object.entries(left ?? {})) person[Number(joint)] = pair
  return person
}

/** @type {Record<string, Pair[]>} */
export const KINDS = {
  standing: STANDING,
  walking: vary(
    { 3: [-0.15, 0.33], 4: [-0.11, 0.46], 8: [-0.055, 0.5], 9: [-0.1, 0.71], 10: [-0.17, 0.9] },
    { 6: [0.15, 0.34], 7: [0.18, 0.48], 11: [0.055, 0.5], 12: [0.085, 0.73], 13: [0.05, 0.95] }
  ),
  sitting: vary({
    3: [-0.15, 0.33],
    4: [-0.09, 0.47],
    8: [-0.075, 0.49],
    9: [-0.12, 0.6],
    10: [-0.11, 0.85]
  }),
  half_length: vary({ 9: null, 10: null }),
  portrait: vary({ 3: null, 4: null, 8: null, 9: null, 10: null }),
  back_turned: vary({
    0: null,
    14: null,
    2: [0.11, 0.18],
    3: [0.14, 0.34],
    4: [0.13, 0.49],
    8: [0.065, 0.5],
    9: [0.07, 0.73],
    10: [0.075, 0.95],
    16: [0.04, FACE_Y]
  }),
  child: vary({
    1: [0, 0.165],
    2: [-0.085, 0.17],
    3: [-0.105, 0.27],
    4: [-0.1, 0.36],
    8: [-0.05, 0.38],
    9: [-0.053, 0.51],
    10: [-0.056, 0.64]
  }),
  hugging: vary({}, { 6: [0.18, 0.26], 7: [0.29, 0.2] })
}

/**
 * A body of a built-in kind, `height` pixels high if the person stood.
 * @type {(kind: string, height: number) => Body}
 */
export const makeBody = (kind, height) =>
  KINDS[kind].map((pair) => pair && { x: pair[0] * height, y: (pair[1] - FACE_Y) * height })

/**
 * A body as a mirror shows it, with the right and the left side exchanged.
 * @type {(body: Body) => Body}
 */
export const mirrorBody = (body) =>
  MIRRORED.map((joint) => {
    const offset = body[joint]
    return offset && { x: -offset.x, y: offset.y }
  })

/** @type {(body: Body, scale: number) => Body} */
export const scaleBody = (body, scale) =>
  body.map((offset) => offset && { x: offset.x * scale, y: offset.y * scale })

/**
 * The height at which a body of a kind fits under a face, in pixels: the face is as wide as its
 * patch, or smaller where others stand near or the image ends.
 * @type {(kind: string, point: Point, others: Point[], height: number, patchSize: number) => number}
 */
export function fitHeight(kind, point, others, height, patchSize) {
  const most = patchSize / FACE_WIDTH
  const below = Math.max(...KINDS[kind].map((pair) => pair?.[1] ?? 0)) - FACE_Y
  const limits = others.map(({ x, y }) => Math.hypot(x - point.x, y - point.y) / BODY_WIDTH)
  limits.push((GROUND * height - point.y) / below)
  return Math.max(Math.min(most, ...limits), LEAST_FACE * most)
}

/**
 * Joints in pixels as a body under the point of a face.
 * @type {(joints: Joints, point: Point) => Body}
 */
export const readBody = (joints, point) =>
  joints.map((joint) => joint && { x: joint.x - point.x, y: joint.y - point.y })

/** @param {number} value */
const toHundredths = (value) => Math.round(value * 100) / 100

/**
 * A body under a face as joints in hundredths of a pixel.
 * @type {(point: Point, body: Body) => Joints}
 */
export const toJoints = (point, body) =>
  body.map(
    (offset) =>
      offset && { x: toHundredths(point.x + offset.x), y: toHundredths(point.y + offset.y) }
  )

/**
 * The smallest box around joints: left, top, right, bottom; null without any.
 * @type {(joints: Joints) => {left: number, top: number, right: number, bottom: number} | null}
 */
export function boxOf(joints) {
  const seen = joints.filter((joint) => joint !== null)
  if (!seen.length) return null
  const [xs, ys] = [seen.map(({ x }) => x), seen.map(({ y }) => y)]
  return {
    left: Math.min(...xs),
    top: Math.min(...ys),
    right: Math.max(...xs),
    bottom: Math.max(...ys)
  }
}
