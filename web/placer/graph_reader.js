// Reads what the graph says about a Patch Placer: its inputs, its widgets and its last run.

import { outputsOf, viewUrl } from '../comfy.js'
import { EMPTY_GRAPH_STATE } from './graph_state.js'
import { findWidget, isConnected, numberOf } from './links.js'
import { imageOf, peopleOf } from './upstream.js'

/** @import { GraphState } from './graph_state.js' */

const DEFAULT_SIDE = 1024
const NOTES = /^(pose_keypoint|base_image):/ // the warnings that the editor cannot find itself

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
    const points = (/** @type {[number, number][] | undefined} */ pairs) =>
      (pairs ?? []).map(([x, y]) => ({ x, y }))
    return {
      ...EMPTY_GRAPH_STATE,
      ...this.readPeople(ran),
      width,
      height,
      patchSize: ran?.patch_size ?? EMPTY_GRAPH_STATE.patchSize,
      heads: (sameSize?.head_patches ?? []).map(([x, y, size]) => ({ x, y, size })),
      background: this.background(ran),
      poses: isConnected(placer, 'pose_keypoint') ? points(sameSize?.poses) : [],
      faces: isConnected(placer, 'base_image') ? points(sameSize?.faces) : [],
      arrangement: String(findWidget(placer, 'arrangement')?.value ?? 'auto'),
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
}
