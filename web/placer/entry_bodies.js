// Which skeleton each person has, and what becomes of it when they are moved; as
// idpatch_core/bodies.py chooses the people to draw. Pure functions.

import { fitHeight, KINDS, makeBody, mirrorBody, readBody, scaleBody, toJoints } from './bodies.js'
import { meanSide } from './placements.js'

/**
 * @import { Body, Joints } from './bodies.js'
 * @import { Change, Changes, Entry } from './entries.js'
 * @import { GraphState } from './graph_state.js'
 * @import { Point } from './layout.js'
 * @import { Target } from './poses.js'
 */

/** @type {Set<Entry['origin']>} */
const BODILESS = new Set(['surplus', 'gone', 'provisional'])
const SAME_POINT = 1 // pixels; a person who is put on a pose has its point, rounded
const MOST_SCALE = 40 // a body is at most so many times as large as it was

/**
 * The pose whose head is nearest to a point, within reach.
 * @type {(point: Point, graph: GraphState, reach: number) => Target | undefined}
 */
function findPose({ x, y }, { poses, drawsPoses }, reach) {
  if (!drawsPoses) return undefined
  const near = poses.map((pose) => ({ pose, away: Math.hypot(pose.x - x, pose.y - y) }))
  return near.filter(({ away }) => away <= reach).sort((a, b) => a.away - b.away)[0]?.pose
}

/**
 * A person's stored body in pixels.
 * @type {(entry: Entry, graph: GraphState) => Body | null}
 */
export const storedBody = ({ placement }, graph) =>
  placement.body && scaleBody(placement.body, meanSide(graph))

/**
 * The skeleton of each placed person: their own, the pose at their point, or one of the kind that
 * the node gives.
 * @type {(entries: Entry[], graph: GraphState) => Entry[]}
 */
export function addSkeletons(entries, graph) {
  const { bodies, drawsPoses, height, patchSize, skeletons } = graph
  const shown = (/** @type {Entry} */ { placement, point, origin }) =>
    placement.placed && point && !BODILESS.has(origin) ? point : null
  return entries.map((entry) => {
    const point = shown(entry)
    if (!point) return { ...entry, joints: null, source: null }
    const own = storedBody(entry, graph)
    if (own) return { ...entry, joints: toJoints(point, own), source: 'placement' }
    const pose = findPose(point, graph, patchSize / 2)
    if (pose && pose.skeleton !== undefined && skeletons[pose.skeleton]) {
      return { ...entry, joints: skeletons[pose.skeleton], source: 'pose' }
    }
    if (!drawsPoses || !(bodies in KINDS)) return { ...entry, joints: null, source: null }
    const others = entries.flatMap((other) => (other === entry ? [] : (shown(other) ?? [])))
    const body = makeBody(bodies, fitHeight(bodies, point, others, height, patchSize))
    return { ...entry, joints: toJoints(point, body), source: 'kind' }
  })
}

/**
 * The skeletons that the condition image shows.
 * @type {(entries: Entry[], graph: GraphState) => Joints[]}
 */
export function skeletonsToDraw(entries, { drawsPoses, skeletons }) {
  if (entries.some(({ source }) => source === 'placement' || source === 'kind')) {
    return entries.flatMap(({ joints }) => (joints ? [joints] : []))
  }
  return drawsPoses ? skeletons : []
}

/**
 * A person's body in pixels from the point of the face, wherever it comes from.
 * @type {(entry: Entry, graph: GraphState) => Body | null}
 */
export function bodyOf(entry, graph) {
  const { joints, point, source } = entry
  if (!joints || !point) return null
  if (source === 'placement') return storedBody(entry, graph)
  return readBody(
    joints,
    (source === 'pose' && findPose(point, graph, graph.patchSize / 2)) || point
  )
}

/**
 * The change that moves a person with their body; on a free pose, they get its skeleton.
 * @type {(entry: Entry, point: Point, graph: GraphState) => Change}
 */
export function moveWithBody(entry, point, graph) {
  if (findPose(point, graph, SAME_POINT)) return { point, body: null }
  return entry.source === 'pose' ? { point, body: bodyOf(entry, graph) } : { point }
}

/**
 * The changes that move people, with their bodies, to these points; null is no change.
 * @type {(entries: Entry[], points: (Point | null)[], graph: GraphState) => Changes}
 */
export const moveAll = (entries, points, graph) =>
  Object.fromEntries(
    points.flatMap((point, index) =>
      point ? [[index, moveWithBody(entries[index], point, graph)]] : []
    )
  )

/**
 * The body of a kind for a person, as large as the one they have or as fits.
 * @type {(entries: Entry[], index: number, kind: string, graph: GraphState) => Body | null}
 */
export function bodyOfKind(entries, index, kind, { height, patchSize }) {
  const { point } = entries[index]
  if (!point || !(kind in KINDS)) return null
  const others = entries.flatMap((entry) =>
    entry.index !== index && entry.placement.placed && entry.point ? [entry.point] : []
  )
  return makeBody(kind, fitHeight(kind, point, others, height, patchSize))
}

/**
 * A person's body, scaled about the face.
 * @type {(entry: Entry, scale: number, graph: GraphState) => Body | null}
 */
export function scaledBody(entry, scale, graph) {
  const body = bodyOf(entry, graph)
  const kept = Math.min(Math.max(scale, 1 / MOST_SCALE), MOST_SCALE)
  return body && scaleBody(body, kept)
}

/**
 * A person's body in a mirror.
 * @type {(entry: Entry, graph: GraphState) => Body | null}
 */
export function mirroredBody(entry, graph) {
  const body = bodyOf(entry, graph)
  return body && mirrorBody(body)
}

/**
 * A person's body with one joint at another point of the image.
 * @type {(entry: Entry, joint: number, at: Point, graph: GraphState) => Body | null}
 */
export function bodyWithJoint(entry, joint, at, graph) {
  const { point } = entry
  const body = bodyOf(entry, graph)
  if (!body || !point) return null
  return body.map((offset, index) =>
    index === joint ? { x: at.x - point.x, y: at.y - point.y } : offset
  )
}

/**
 * The entries as they would be after changes of points and bodies.
 * @type {(entries: Entry[], changes: Changes, graph: GraphState) => Entry[]}
 */
export function previewChanges(entries, changes, graph) {
  const changed = entries.map((entry) => {
    const change = changes[entry.index]
    if (!change) return entry
    const { point = entry.point, body } = change
    const { placement } = entry
    const kept = body === undefined ? placement.body : body && scaleBody(body, 1 / meanSide(graph))
    return { ...entry, point, placement: { ...placement, body: kept } }
  })
  return addSkeletons(changed, graph)
}
