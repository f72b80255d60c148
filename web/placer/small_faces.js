// Whose face is too small for the model, as idpatch_core/small_faces.py warns. Pure functions.

import { placedEntries } from './entries.js'
import { isInside } from './layout.js'

/**
 * @import { Joints } from './bodies.js'
 * @import { Entry } from './entries.js'
 * @import { GraphState } from './graph_state.js'
 */

const SMALL_FACE = 0.6 // width of a small face, of the side of a patch
const FACE_TO_EYES = 2.1
const PROFILE_EAR = 1.9 // from nose to ear in profile, in distances of the eyes
const [NOSE, R_EYE, L_EYE, R_EAR, L_EAR] = [0, 14, 15, 16, 17]

/** @param {GraphState} graph */
export const leastFace = ({ patchSize }) => SMALL_FACE * patchSize

/**
 * The width of a skeleton's face in pixels, as if it faced the camera; null where it is not seen.
 * @param {Joints} joints
 */
export function faceWidth(joints) {
  /** @type {(a: number, b: number) => number} */
  const away = (a, b) => {
    const [one, other] = [joints[a], joints[b]]
    return one && other ? Math.hypot(one.x - other.x, one.y - other.y) : 0
  }
  const ears = [R_EAR, L_EAR].map((ear) => away(NOSE, ear) / PROFILE_EAR)
  return FACE_TO_EYES * Math.max(away(R_EYE, L_EYE), ...ears) || null
}

/**
 * Those whose faces are small. Which size that is depends on the model's patches.
 * @type {(entries: Entry[], graph: GraphState) => Entry[]}
 */
export function smallFaces(entries, graph) {
  if (!graph.patchSizeKnown) return []
  return placedEntries(entries).filter(({ point, joints }) => {
    const width = joints && faceWidth(joints)
    return point && isInside(point, graph.width, graph.height) && width && width < leastFace(graph)
  })
}
