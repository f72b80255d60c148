// Reads from the nodes before a node what it is going to receive, as far as that is known before a
// run. Changes nothing.

import { outputsOf, photoUrl, viewUrl } from '../comfy.js'
import { makeUnique, parsePeople } from '../people/state.js'
import { findWidget, isConnected, MOST_LINKS, numberOf, source } from './links.js'
import { PRESETS } from './poses.js'

/**
 * @typedef {{name?: string | null, crop?: string | null}} KnownPerson  the crop as a URL
 * @typedef {{node: ComfyNode, preset: string, width: number, height: number}} BuiltInPose
 */

/** @param {ComfyNode | undefined} node */
const loadsImage = (node) => /^LoadImage/.test(node?.comfyClass ?? node?.type ?? '')

/**
 * The URL of the image that an input shows now: a loaded file, or what its node made last.
 * @type {(node: ComfyNode, name: string) => string | null}
 */
export function imageOf(node, name) {
  const from = source(node, name)?.node
  if (!from) return null
  const file = findWidget(from, 'image')?.value
  if (loadsImage(from) && typeof file === 'string' && file) return photoUrl(file)
  const [image] = outputsOf(from)?.images ?? []
  return image?.filename ? viewUrl(image) : null
}

/**
 * The built-in pose that comes in through an input, with the Load Pose node that makes it, or null.
 * @type {(node: ComfyNode, name: string) => BuiltInPose | null}
 */
export function builtInPoseOf(node, name) {
  const from = source(node, name)?.node
  if ((from?.comfyClass ?? from?.type) !== 'IDPatchLoadPose' || !from) return null
  if (isConnected(from, 'pose')) return null
  const preset = String(findWidget(from, 'pose')?.value)
  const [width, height] = [numberOf(from, 'width'), numberOf(from, 'height')]
  return preset in PRESETS && width && height ? { node: from, preset, width, height } : null
}

/**
 * The people that come in through an input of identities or patches, or null where these are
 * only known after a run.
 * @type {(node: ComfyNode, name: string, left?: number) => KnownPerson[] | null}
 */
export function peopleOf(node, name, left = MOST_LINKS) {
  const from = source(node, name)?.node
  if (!from || left <= 0) return null
  if ((from.comfyClass ?? from.type) in ADDED) return peopleAt(from, left)
  const through = from.inputs?.find(({ type }) => type === 'IDPATCH_IDENTITIES')
  return through ? peopleOf(from, through.name, left - 1) : null
}

/**
 * The people at the output of a node that adds some, or null.
 * @type {(node: ComfyNode, left?: number) => KnownPerson[] | null}
 */
export function peopleAt(node, left = MOST_LINKS) {
  const before = isConnected(node, 'identities') ? peopleOf(node, 'identities', left - 1) : []
  const own = ADDED[node.comfyClass ?? node.type](node, before ?? [])
  if (!before || !own) return null
  const people = [...before, ...own]
  const names = makeUnique(people.map(({ name }) => name ?? null))
  return people.map((person, index) => ({ ...person, name: names[index] }))
}

/**
 * The faces that a node showed in its last run.
 * @type {(node: ComfyNode) => KnownPerson[] | undefined}
 */
function facesShown(node) {
  const [report] = outputsOf(node)?.idpatch_faces ?? []
  return report?.faces?.map(({ name, crop }) => ({ name, crop: crop ? viewUrl(crop) : null }))
}

/**
 * The people that nodes add which make or load identities.
 * @type {Record<string, (node: ComfyNode, before: KnownPerson[]) => KnownPerson[] | null>}
 */
const ADDED = {
  IDPatchFaceEncoder(node) {
    const names = String(findWidget(node, 'name')?.value ?? '').split(',')
    /** @type {(person: KnownPerson, index: number) => KnownPerson} */
    const named = ({ crop = null, name = null }, index) => ({
      name: names[index]?.trim() || name,
      crop
    })
    const shown = facesShown(node)
    const oneOfEach = ['largest', 'index'].includes(String(findWidget(node, 'face')?.value))
    const people = findWidget(node, 'people')?.value
    // Several images of one person show as many faces, all under one name.
    const sameName = people === 'auto' && new Set(shown?.map((face) => face.name)).size === 1
    if (oneOfEach && (people === 'one_person' || sameName)) return [shown?.[0] ?? {}].map(named)
    if (shown) return shown.map(named)
    return oneOfEach && loadsImage(source(node, 'image')?.node) ? [{}].map(named) : null
  },
  IDPatchPeople(node, before) {
    const shown = facesShown(node)
    const { people, problem } = parsePeople(String(findWidget(node, 'people')?.value ?? ''))
    const linked = isConnected(node, 'people') || isConnected(node, 'images')
    if (problem || linked) return shown ?? null
    const known = before.map(({ name }) => name ?? null)
    const names = makeUnique([...known, ...people.map(({ name }) => name)]).slice(before.length)
    return names.map((name) => ({
      name,
      crop: (name && shown?.find((face) => face.name === name)?.crop) || null
    }))
  },
  IDPatchLoadIdentities: (node) => facesShown(node) ?? null
}
