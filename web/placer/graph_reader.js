// Reads what the graph says about a Patch Placer: its inputs, its widgets and its last run.

import { outputsOf, viewUrl } from '../comfy.js'
import { EMPTY_GRAPH_STATE } from './graph_state.js'
import { hasSameAspect } from './layout.js'
import { findWidget, isConnected, numberOf } from './links.js'
import { headsOf, PRESETS, scaleSkeletons } from './poses.js'
import { builtInPoseOf, imageOf, peopleOf } from './upstream.js'

/**
 * @import { Size } from './geometry.js'
 * @import { GraphState } from './graph_state.js'
 */

const DEFAULT_SIDE = 1024
const NOTES = /^(pose_keypoint|base_image): (?!it is not black)/ // the warnings that the editor cannot find itself

/** @param {[number, number][] | undefined} pairs */
const toPoints = (pairs) => (pairs ?? []).map(([x, y]) => ({ x, y }))

/**
 * The poses that a run found.
 * @type {(ran: PlacerReport | null) => Pick<GraphState, 'poses' | 'skeletons'>}
 */
function readReport(ran) {
  const skeletons = (ran?.skeletons ?? []).map((joints) =>
    joints.map((joint) => joint && { x: joint[0], y: joint[1] })
  )
  const poses = toPoints(ran?.poses).map((point, index) => ({
    ...point,
    skeleton: ran?.pose_people?.[index] ?? -1
  }))
  return { poses, skeletons }
}

export class GraphReader {
  /** @param {ComfyNode} placer */
  constructor(placer) {
    this.placer = placer
    /** @type {string | null} the URL of what the last run drew */
    this.drawn = null
    /** @type {string | null} the URL of what was connected at that run */
    this.connectedThen = null
  }

  /**
   * @param {string | null} locked  why no one can be moved
   * @returns {GraphState}
   */
  read(locked) {
    const { placer } = this
    const [report] = outputsOf(placer)?.idpatch_placer ?? []
    const width = this.sideOf('width', report)
    const height = this.sideOf('height', report)
    const ran = report?.version === 1 ? report : null
    const sameSize = ran?.width === width && ran?.height === height ? ran : null
    const arrangement = String(findWidget(placer, 'arrangement')?.value ?? 'auto')
    const poses = this.readPoses({ width, height }, sameSize)
    const hasBase = isConnected(placer, 'base_image')
    const hasReference = isConnected(placer, 'reference_image')
    const faces = hasBase || hasReference ? toPoints(sameSize?.faces) : []
    return {
      ...EMPTY_GRAPH_STATE,
      ...this.readPeople(ran),
      width,
      height,
      patchSize: ran?.patch_size ?? EMPTY_GRAPH_STATE.patchSize,
      patchSizeKnown: ran?.patch_size !== undefined,
      heads: (sameSize?.head_patches ?? []).map(([x, y, size]) => ({ x, y, size })),
      background: poses.skeletons.length && !hasBase ? null : this.background(ran),
      hasBase,
      reference: hasReference ? this.reference(ran) : null,
      ...poses,
      drawsPoses: !hasBase,
      bodies: String(findWidget(placer, 'bodies')?.value ?? EMPTY_GRAPH_STATE.bodies),
      faces,
      arrangement,
      awaited: this.awaited(arrangement, { poses: poses.poses, faces }),
      sizable: !['width', 'height'].some((name) => isConnected(placer, name)),
      connected: isConnected(placer, 'id_patches'),
      locked,
      notes: (sameSize?.warnings ?? []).filter((warning) => NOTES.test(warning))
    }
  }

  /** @type {(name: 'width' | 'height', report: PlacerReport | undefined) => number} */
  sideOf(name, report) {
    const { placer } = this
    const widget = /** @type {number | undefined} */ (findWidget(placer, name)?.value)
    return numberOf(placer, name) ?? report?.[name] ?? widget ?? DEFAULT_SIDE
  }

  /**
   * Reads the poses: built-in ones from the graph, others from the last run at this size.
   * @type {(size: Size, ran: PlacerReport | null) =>
   *   Pick<GraphState, 'poses' | 'skeletons' | 'unfitPose' | 'canFitPose'>}
   */
  readPoses(size, ran) {
    const { placer } = this
    const none = { poses: [], skeletons: [], unfitPose: null, canFitPose: false }
    if (!isConnected(placer, 'pose_keypoint')) return none
    const pose = builtInPoseOf(placer, 'pose_keypoint')
    if (!pose) return { ...none, ...readReport(ran) }
    const { node, preset, width, height } = pose
    if (!hasSameAspect(pose, size)) {
      const canFitPose = ['width', 'height'].every((name) => !isConnected(node, name))
      return { ...none, unfitPose: { width, height }, canFitPose }
    }
    const skeletons = scaleSkeletons(PRESETS[preset](pose), pose, size)
    return { ...none, poses: headsOf(skeletons), skeletons }
  }

  /**
   * What people are to be placed on, where only a run finds it.
   * @type {(arrangement: string, found: Pick<GraphState, 'poses' | 'faces'>) =>
   *   GraphState['awaited']}
   */
  awaited(arrangement, { poses, faces }) {
    const connected = (/** @type {string} */ name) => isConnected(this.placer, name)
    const photo = connected('base_image') || connected('reference_image')
    if (arrangement === 'faces') return photo && !faces.length ? 'faces' : null
    if (arrangement !== 'auto' && arrangement !== 'pose') return null
    return connected('pose_keypoint') && !poses.length ? 'poses' : null
  }

  /**
   * Reads who comes in, from the nodes before this one or else from the last run.
   * @type {(ran: PlacerReport | null) => Pick<GraphState, 'count' | 'names' | 'crops'>}
   */
  readPeople(ran) {
    const known = peopleOf(this.placer, 'id_patches')
    const reported = (ran?.people ?? []).map(({ name, crop }) => ({
      name,
      crop: crop ? viewUrl(crop) : null
    }))
    const people = known ?? (ran && reported)
    if (!people) return { count: null, names: [], crops: [] }
    const same = reported.length === people.length
    return {
      count: people.length,
      names: people.map(({ name }, index) => name || (same && reported[index].name) || null),
      crops: people.map(({ crop }, index) => crop || (same && reported[index].crop) || null)
    }
  }

  /**
   * The image behind the people: of the last run, unless another one is connected since.
   * @param {PlacerReport | null} ran
   */
  background(ran) {
    const { placer } = this
    const input = ['base_image', 'pose_keypoint'].find((name) => isConnected(placer, name))
    if (!input) return null
    const current = imageOf(placer, input)
    const drawn = ran?.base ? viewUrl(ran.base) : null
    if (drawn !== this.drawn) {
      this.drawn = drawn
      this.connectedThen = current
    }
    return drawn && current === this.connectedThen ? drawn : (current ?? drawn)
  }

  /**
   * The image to place people after: what is connected now, or was in the last run.
   * @param {PlacerReport | null} ran
   */
  reference(ran) {
    const reported = ran?.reference ? viewUrl(ran.reference) : null
    return imageOf(this.placer, 'reference_image') ?? reported
  }
}
