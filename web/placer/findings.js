// What the editor reports about the placements. Pure functions.

import { areProvisional, nameOf, overlapsOf, placedEntries, pointsOf } from './entries.js'
import { skeletonsToDraw } from './entry_bodies.js'
import { targetsOf, usesPlacements } from './graph_state.js'
import { hasSameAspect, isInside, outside } from './layout.js'
import { leastFace, smallFaces } from './small_faces.js'

/**
 * @import { Entry } from './entries.js'
 * @import { Size } from './geometry.js'
 * @import { GraphState } from './graph_state.js'
 * @import { State } from './placements.js'
 *
 * @typedef {Size & {photo?: boolean}} Background
 * @typedef {{id: string, label: string}} Action
 * @typedef {{level: 'error' | 'warning' | 'info', text: string, actions: Action[]}} Finding
 */

const RANK = { error: 0, warning: 1, info: 2 }

/** @type {(level: Finding['level'], text: string, ...actions: Action[]) => Finding} */
const finding = (level, text, ...actions) => ({ level, text, actions })

/** @param {string[]} names */
const join = (names) =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`

/** @type {(count: number, one: string, many?: string) => string} */
const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`

/** @param {Entry[]} entries */
const joinNames = (entries) => join(entries.map(nameOf))

/** @param {Size} size */
const shown = ({ width, height }) => `${width}×${height}`

/** @type {(one: Size, other: Size) => boolean} */
const sameSize = (one, other) => one.width === other.width && one.height === other.height

/**
 * Lists everything to report, errors first.
 *
 * `image` is the image behind the people, null where there is none.
 * @type {(state: State, entries: Entry[], graph: GraphState, image?: Background | null) =>
 *   Finding[]}
 */
export function listFindings(state, entries, graph, image = null) {
  return [
    ...onInputs(state, graph, image),
    ...onOrigin(state, entries, graph),
    ...onPeople(entries, graph),
    ...onPatches(entries, graph),
    ...onChanges(state, graph),
    ...onTargets(entries, graph),
    ...onSkeletons(entries, graph)
  ].sort((a, b) => RANK[a.level] - RANK[b.level])
}

/** @type {(state: State, graph: GraphState, image: Background | null) => Finding[]} */
function onInputs({ problem }, graph, image) {
  const found = []
  if (problem) {
    const reset = { id: 'reset', label: 'Reset' }
    found.push(finding('error', problem, reset, { id: 'text', label: 'Show text' }))
  }
  if (graph.locked) found.push(finding('info', graph.locked))
  if (image && !hasSameAspect(image, graph)) {
    const other = `which has a different aspect ratio from ${shown(graph)}`
    const name = graph.hasBase ? 'The base image' : 'The drawn pose'
    if (graph.hasBase || !graph.unfitPose) {
      found.push(finding('error', `${name} is ${shown(image)}, ${other}.`))
    }
  }
  if (image?.photo && graph.hasBase) {
    const text =
      'The base image looks like a photo, not like a drawing of poses. It does not become the ' +
      'background of the image.'
    found.push(finding('warning', text, { id: 'use_reference', label: 'Use as reference' }))
  }
  if (graph.unfitPose) {
    const text = `The pose is ${shown(graph.unfitPose)}, which has a different aspect ratio from`
    const fit = graph.canFitPose ? [{ id: 'fit_pose', label: 'Set its size' }] : []
    found.push(finding('error', `${text} ${shown(graph)}.`, ...fit))
  }
  return found
}

/** @type {(state: State, entries: Entry[], graph: GraphState) => Finding[]} */
function onOrigin({ problem }, entries, graph) {
  const found = []
  const automatic = entries.some(({ origin }) => origin === 'automatic')
  if (automatic) found.push(...graph.notes.map((note) => finding('warning', note)))
  if (graph.count === null && entries.length === 0 && !problem) {
    const text = graph.connected
      ? 'Run the workflow once to show the people.'
      : 'Connect id_patches to show the people to place.'
    found.push(finding('info', text))
  }
  if (areProvisional(entries)) {
    const text = `Where the ${graph.awaited} are is known after a run.`
    const then = 'Run the workflow once and then place people by hand, or arrange them here.'
    if (!graph.unfitPose) found.push(finding('info', `${text} ${then}`))
  } else if (!usesPlacements(graph) && !problem && entries.length) {
    const by = `the arrangement “${graph.arrangement}”`
    found.push(finding('info', `Placed by ${by}. Drag a person to place by hand.`))
  } else if (automatic && !graph.locked) {
    found.push(finding('info', 'Placed automatically. Drag a person to place by hand.'))
  }
  return found
}

/** @type {(entries: Entry[], graph: GraphState) => Finding[]} */
function onPeople(entries, { count }) {
  const found = []
  const missing = entries.filter(({ origin }) => origin === 'missing')
  if (missing.length) {
    const text = `${joinNames(missing)} ${missing.length === 1 ? 'has' : 'have'} no placement yet.`
    found.push(finding('error', text, { id: 'complete', label: 'Place' }))
  }
  const added = entries.filter(({ origin }) => origin === 'new')
  if (added.length) {
    const [verb, was] = added.length === 1 ? ['is', 'was'] : ['are', 'were']
    const text = `${joinNames(added)} ${verb} new and ${was} placed automatically.`
    found.push(finding('info', text, { id: 'complete', label: 'Keep' }))
  }
  const gone = entries.filter(({ origin }) => origin === 'gone')
  if (gone.length) {
    const text = `${joinNames(gone)} ${gone.length === 1 ? 'is' : 'are'} gone.`
    found.push(finding('info', text, { id: 'trim', label: 'Remove' }))
  }
  const surplus = entries.filter(({ origin }) => origin === 'surplus')
  if (surplus.length) {
    const people = plural(count ?? 0, 'person', 'people')
    const text = `${plural(surplus.length, 'placement')} too many for ${people}.`
    found.push(finding('error', text, { id: 'trim', label: 'Remove' }))
  }
  return found
}

/** @type {(entries: Entry[], graph: GraphState) => Finding[]} */
function onPatches(entries, graph) {
  const found = []
  const away = outside(pointsOf(entries), graph.width, graph.height).map((index) => entries[index])
  if (away.length) {
    const [verb, get] = away.length === 1 ? ['is', 'gets'] : ['are', 'get']
    const text = `${joinNames(away)} ${verb} outside the image and ${get} no patch.`
    found.push(finding('warning', text, { id: 'inside', label: 'Move inside' }))
  }
  for (const pair of overlapsOf(entries, graph)) {
    const names = joinNames(pair.map((index) => entries[index]))
    found.push(finding('warning', `The patches of ${names} overlap.`))
  }
  const small = smallFaces(entries, graph)
  if (small.length) {
    const whose = `${small.length === 1 ? 'The face' : 'The faces'} of ${joinNames(small)}`
    const advice = 'Give the image and the bodies more pixels, or connect Refine Identities.'
    const text = `${whose} may be too small for a resemblance: narrower than`
    found.push(finding('warning', `${text} ${Math.round(leastFace(graph))} pixels. ${advice}`))
  }
  return found
}

/** @type {(state: State, graph: GraphState) => Finding[]} */
function onChanges(state, graph) {
  const found = []
  const { madeFor } = state
  if (madeFor && !sameSize(madeFor, graph)) {
    const text = `The placements are for ${shown(madeFor)}; the image is ${shown(graph)}.`
    const scale = { id: 'scale', label: 'Scale' }
    found.push(finding('warning', text, scale, { id: 'keep', label: 'Keep pixels' }))
  }
  return found
}

/** @type {(entries: Entry[], graph: GraphState) => Finding[]} */
function onTargets(entries, graph) {
  const found = []
  const targets = targetsOf(graph)
  if (graph.count !== null && targets.length && targets.length < placedEntries(entries).length) {
    found.push(onTooFewTargets(targets.length, entries, graph))
  }
  const off = entries.filter(({ placement, origin }) => !placement.placed && origin === 'text')
  if (off.length) {
    const text = `${joinNames(off)} ${off.length === 1 ? 'is' : 'are'} off the canvas.`
    found.push(finding('info', text, { id: 'return', label: 'Put back' }))
  }
  return found
}

/**
 * Fewer poses or faces than people, which ends a run that places people on them.
 * @type {(targets: number, entries: Entry[], graph: GraphState) => Finding}
 */
function onTooFewTargets(targets, entries, { count, poses, hasBase, drawsPoses, arrangement }) {
  const noun = poses.length ? 'pose' : 'face'
  const text = `Only ${plural(targets, noun)} found for ${count} people.`
  const automatic = entries.some(({ origin }) => origin === 'automatic')
  const onPoses = arrangement === 'pose' || (automatic && arrangement === 'auto')
  if (!(noun === 'pose' ? onPoses : arrangement === 'faces')) return finding('info', text)
  if (noun === 'face') {
    return finding('error', `${text} Connect a photo of all, or place them by hand.`)
  }
  const advice = `Choose a pose of ${count} people, for example in Load Pose, or place them by hand.`
  const canAdd = automatic && drawsPoses && !hasBase
  const add = canAdd ? [{ id: 'give_bodies', label: 'Add bodies' }] : []
  return finding('error', `${text} ${advice}`, ...add)
}

/** @type {(entries: Entry[], graph: GraphState) => Finding[]} */
function onSkeletons(entries, graph) {
  const { width, height, patchSize, poses, hasBase, bodies, connected } = graph
  const inside = placedEntries(entries).filter(
    ({ point }) => point && isInside(point, width, height)
  )
  if (hasBase) {
    const away = inside.filter(
      ({ origin, point, joints }) =>
        origin === 'text' &&
        !joints &&
        point &&
        poses.every(({ x, y }) => Math.hypot(x - point.x, y - point.y) > patchSize / 2)
    )
    if (!poses.length || !away.length) return []
    const text =
      away.length === 1
        ? `${nameOf(away[0])}’s face is not on a skeleton; the body stays in the base image.`
        : `The faces of ${joinNames(away)} are not on skeletons; the bodies stay in the base image.`
    return [finding('warning', text)]
  }
  if (bodies === 'none' || !connected || areProvisional(entries) || !inside.length) return []
  if (!skeletonsToDraw(entries, graph).length) {
    const text = 'The image has no skeleton; the released model was not trained on such images.'
    return [finding('warning', text, { id: 'standing_bodies', label: 'Draw bodies' })]
  }
  const found = []
  const without = inside.filter(({ joints }) => !joints)
  if (without.length) {
    const text = `${joinNames(without)} ${without.length === 1 ? 'has' : 'have'} no body.`
    found.push(finding('warning', text, { id: 'give_bodies', label: 'Add' }))
  }
  const onPoses = inside.filter(({ source }) => source === 'pose')
  const spare = graph.skeletons.length - onPoses.length
  if (onPoses.length && spare > 0 && onPoses.length === inside.length) {
    const text =
      `${plural(spare, 'pose')} without a person ${spare === 1 ? 'is' : 'are'} drawn, so the ` +
      'image may show someone else there.'
    found.push(finding('warning', text, { id: 'keep_bodies', label: 'Leave out' }))
  }
  return found
}
