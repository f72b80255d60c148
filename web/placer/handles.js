// The handles of the selected person's body: to scale it, to mirror it, and one for each joint. Pure
// functions.

import { boxOf } from './bodies.js'
import { bodyWithJoint, scaledBody } from './entry_bodies.js'
import { fromStage, toStage } from './geometry.js'

/**
 * @import { Body } from './bodies.js'
 * @import { Entry } from './entries.js'
 * @import { Size, Viewport } from './geometry.js'
 * @import { GraphState } from './graph_state.js'
 * @import { Point } from './layout.js'
 *
 * @typedef {'scale' | 'mirror' | number} Part  a number is a joint
 * @typedef {{part: Part, at: Point}} Handle  on the stage, in page pixels
 */

const AROUND = 10 // page pixels between the joints and the box of the handles
const REACH = 9 // page pixels
const EDGE = 8 // page pixels from the stage's edge

/**
 * A body's box on the stage, inside the stage's edges.
 * @type {(entry: Entry, viewport: Viewport, box: Size) =>
 *   {left: number, top: number, right: number, bottom: number} | null}
 */
export function boxOnStage({ joints }, viewport, box) {
  const around = joints && boxOf(joints)
  if (!around) return null
  const start = toStage(viewport, { x: around.left, y: around.top })
  const end = toStage(viewport, { x: around.right, y: around.bottom })
  return {
    left: Math.max(start.x - AROUND, EDGE),
    top: Math.max(start.y - AROUND, EDGE),
    right: Math.min(end.x + AROUND, box.width - EDGE),
    bottom: Math.min(end.y + AROUND, box.height - EDGE)
  }
}

/**
 * The handles of a person's body; joints under the face's marker have none.
 * @type {(entry: Entry, viewport: Viewport, box: Size, markerRadius: number) => Handle[]}
 */
export function handlesOf(entry, viewport, box, markerRadius) {
  const around = boxOnStage(entry, viewport, box)
  const { joints, point } = entry
  if (!around || !joints || !point) return []
  const face = toStage(viewport, point)
  const free = (/** @type {Point} */ { x, y }) =>
    Math.hypot(x - face.x, y - face.y) > markerRadius + 4
  /** @type {Handle[]} */
  const corners = [
    { part: 'scale', at: { x: around.right, y: around.bottom } },
    { part: 'mirror', at: { x: around.left, y: around.bottom } }
  ]
  const all = joints.flatMap((joint, part) => (joint ? { part, at: toStage(viewport, joint) } : []))
  return [...corners, ...all].filter(({ at }) => free(at))
}

/**
 * The handle at a point of the stage, if there is one.
 * @type {(handles: Handle[], point: Point) => Handle | undefined}
 */
export function findHandle(handles, { x, y }) {
  const near = handles.map((handle) => ({
    handle,
    away: Math.hypot(handle.at.x - x, handle.at.y - y)
  }))
  return near.filter(({ away }) => away <= REACH).sort((a, b) => a.away - b.away)[0]?.handle
}

/**
 * The body after a handle was dragged from one point of the stage to another.
 * @type {(entry: Entry, handle: Handle, to: Point, viewport: Viewport, graph: GraphState) =>
 *   Body | null}
 */
export function dragHandle(entry, { part, at }, to, viewport, graph) {
  if (!entry.point || part === 'mirror') return null
  if (part !== 'scale') return bodyWithJoint(entry, part, fromStage(viewport, to), graph)
  const face = toStage(viewport, entry.point)
  const distance = (/** @type {Point} */ { x, y }) => Math.hypot(x - face.x, y - face.y)
  return scaledBody(entry, distance(to) / Math.max(distance(at), 1), graph)
}
