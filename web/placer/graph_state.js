// What the graph says about a Patch Placer. Pure functions; graph_reader.js reads it.

/**
 * @import { Joints } from './bodies.js'
 * @import { Size } from './geometry.js'
 * @import { Head, Point } from './layout.js'
 * @import { Target } from './poses.js'
 *
 * @typedef {object} GraphState
 * @property {number} width  of the output, in pixels
 * @property {number} height
 * @property {number} patchSize
 * @property {boolean} patchSizeKnown  from a run; otherwise it is that of the released model
 * @property {Head[]} heads  where the model's patches are as large as the faces
 * @property {number | null} count  of the people; null until it is known
 * @property {(string | null)[]} names
 * @property {(string | null)[]} crops  URLs of the people's faces
 * @property {string | null} background  URL of the image behind the people
 * @property {boolean} hasBase  whether a base image is connected
 * @property {string | null} reference  URL of the image to place people after
 * @property {Target[]} poses  heads of the poses, the most prominent first
 * @property {Joints[]} skeletons  of all poses
 * @property {boolean} drawsPoses  whether the node draws the poses, or has a base image for that
 * @property {string} bodies  which skeletons are drawn under people without one
 * @property {Size | null} unfitPose  the size of a built-in pose that does not fit the image
 * @property {boolean} canFitPose  whether its size can be set
 * @property {Point[]} faces  noses of the faces in the base image
 * @property {string} arrangement
 * @property {'poses' | 'faces' | null} awaited  what people are placed on and only a run finds
 * @property {boolean} sizable  whether width and height can be set at the node
 * @property {boolean} connected  whether ID patches are
 * @property {string | null} locked  why no one can be moved
 * @property {string[]} notes  warnings of the last run
 */

/** @type {GraphState} */
export const EMPTY_GRAPH_STATE = {
  width: 1024,
  height: 1024,
  patchSize: 64,
  patchSizeKnown: false,
  heads: [],
  count: null,
  names: [],
  crops: [],
  background: null,
  hasBase: false,
  reference: null,
  poses: [],
  skeletons: [],
  drawsPoses: true,
  bodies: 'from_pose',
  unfitPose: null,
  canFitPose: false,
  faces: [],
  arrangement: 'auto',
  awaited: null,
  sizable: true,
  connected: false,
  locked: null,
  notes: []
}

/**
 * The points that people snap to: those of the poses, or of the faces where there are no poses.
 * @param {GraphState} graph
 */
export const targetsOf = ({ poses, faces }) => (poses.length ? poses : faces)

/**
 * Whether the placements text is used; otherwise it is kept, and the arrangement is used.
 * @param {{arrangement: unknown}} graph
 */
export const usesPlacements = ({ arrangement }) =>
  arrangement === 'auto' || arrangement === 'placements'
