// Who stands where, and what is to be said about it: joins the `placements` text with what is
// known of the graph. Pure functions.
//
// A state is `{places, extra, madeFor, problem}`: places as `{share, placed, strength, name,
// extra}` with share a point in shares of the picture (so that it scales with it) or null.
// A scene is what the graph says: `{width, height, patchSize, heads, count, names, crops,
// background, poses, faces, arrangement, connected, locked, notes}`; count is null where nobody
// knows yet.

import {
  ARRANGEMENTS,
  clampInside,
  denormalise,
  leftToRight,
  normalise,
  outside,
  overlapping,
  row
} from './geometry.js'
import { parse, serialise } from './state.js'

export const EMPTY_SCENE = {
  width: 1024,
  height: 1024,
  patchSize: 64,
  heads: [],
  count: null,
  names: [],
  crops: [],
  background: null,
  poses: [],
  faces: [],
  arrangement: 'auto',
  connected: false,
  locked: null,
  notes: []
}

/** Reads the text for a picture of this size. */
export function read(text, { width, height }) {
  const { people, width: madeWidth, height: madeHeight, extra, problem } = parse(text)
  if (problem) return { places: [], extra: {}, madeFor: null, problem }
  return {
    places: people.map(({ x, y, ...place }) => ({
      ...place,
      share: x === null ? null : normalise({ x, y }, width, height)
    })),
    extra,
    madeFor: madeWidth ? { width: madeWidth, height: madeHeight } : null,
    problem: null
  }
}

/** Writes places for a picture of this size. */
export function write({ places, extra }, { width, height }) {
  const people = places.map(({ share, ...place }) => {
    const { x, y } = share ? denormalise(share, width, height) : { x: null, y: null }
    return { ...place, x, y }
  })
  return serialise({ people, width, height, extra })
}

/** The same places of the same pixels in a picture of another size. */
export function keepPixels(state, from, to) {
  const places = state.places.map((place) => ({
    ...place,
    share: place.share && {
      x: (place.share.x * from.width) / to.width,
      y: (place.share.y * from.height) / to.height
    }
  }))
  return { ...state, places }
}

/** Where people can be put with a snap: the found poses, or the faces where there are none. */
export const targetsOf = (scene) => (scene.poses.length ? scene.poses : scene.faces)

/** Whether the text decides; otherwise it is kept, and the arrangement decides. */
export const decides = ({ arrangement }) => arrangement === 'auto' || arrangement === 'placements'

/** The places, in pixels, that people get when nobody placed them by hand. */
export function automatic(count, { width, height, patchSize, arrangement, poses, faces }) {
  const arrange = ARRANGEMENTS[arrangement]
  if (arrange) return arrange(count, width, height, patchSize)
  const found = arrangement === 'faces' ? faces : arrangement === 'placements' ? [] : poses
  const points = row(count, width, height, patchSize)
  return found.length >= count ? leftToRight(points, found) : points
}

/**
 * Lists everybody: `{index, name, place, point, origin}`.
 *
 * `point` is in pixels, null for somebody off the canvas of whom no point is known; `origin` says
 * where the place comes from: the text, the automatic arrangement, nowhere yet (missing), or the
 * text without a person for it (surplus).
 */
export function everybody(state, scene) {
  const byText = !state.problem && decides(scene) && state.places.length > 0
  const known = scene.count ?? (byText ? state.places.length : 0)
  const number = byText ? Math.max(known, state.places.length) : known
  const points = automatic(Math.max(known, 1), scene)
  return Array.from({ length: number }, (_, index) => {
    const stored = byText ? state.places[index] : undefined
    const { strength = 1, extra = {} } = state.places[index] ?? {}
    const place = stored ?? { placed: true, strength, name: null, extra, share: null }
    const point = stored
      ? stored.share && denormalise(stored.share, scene.width, scene.height)
      : points[index]
    const origin = !byText ? 'automatic' : index >= known ? 'surplus' : stored ? 'text' : 'missing'
    return {
      index,
      name: scene.names[index] ?? (scene.count === null ? place.name : null),
      place,
      point,
      origin
    }
  })
}

/** What everybody's entry is called: their name where known. */
export const nameOf = ({ name, index }) => name || `Person ${index + 1}`

/** The entries that have a patch on the canvas. */
export const standing = (entries) =>
  entries.filter(({ place, point, origin }) => place.placed && point && origin !== 'surplus')

/** Points in the entries' order, null for those without a patch. */
export const pointsOf = (entries) => {
  const present = new Set(standing(entries))
  return entries.map((entry) => (present.has(entry) ? entry.point : null))
}

/**
 * Makes the places that a change leads to: everybody seen now, with some of them changed.
 *
 * `changes` maps an index to `{point?, placed?}`. People without a place get the one they are
 * shown at, so that what is seen is what is written.
 */
export function changed(entries, changes, scene) {
  return entries.map((entry) => {
    const { point = entry.point, placed = entry.place.placed } = changes[entry.index] ?? {}
    return {
      ...entry.place,
      placed,
      share: point && normalise(point, scene.width, scene.height),
      name: entry.name ?? entry.place.name
    }
  })
}

/** Changes that put people at the given points, null for no change. */
export const movedTo = (points) =>
  Object.fromEntries(points.flatMap((point, index) => (point ? [[index, { point }]] : [])))

const join = (names) =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`

const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`

/** The order of stored names against that of the people now: a permutation, or null. */
export function reordered(state, scene) {
  const stored = state.places.map(({ name }) => name)
  const now = scene.names
  if (stored.length !== now.length || stored.some((name) => !name) || now.some((name) => !name)) {
    return null
  }
  if (new Set(now).size !== now.length || stored.every((name, index) => name === now[index])) {
    return null
  }
  const from = now.map((name) => stored.indexOf(name))
  return from.includes(-1) ? null : from
}

const ASPECT_TOLERANCE = 0.02 // as in nodes/placer.py

/**
 * Everything to be said: `{level, text, actions: [{id, label}]}`, the gravest first.
 *
 * `picture` is the size of the picture behind the people, null where there is none.
 */
export function findings(state, entries, scene, picture = null) {
  const said = []
  const say = (level, text, ...actions) => said.push({ level, text, actions })
  if (state.problem) {
    say('error', state.problem, { id: 'reset', label: 'Reset' }, { id: 'text', label: 'Show text' })
  }
  if (scene.locked) say('info', scene.locked)
  const size = `${scene.width}×${scene.height}`
  const stretch = picture && picture.width / picture.height / (scene.width / scene.height)
  if (picture && Math.abs(stretch - 1) > ASPECT_TOLERANCE) {
    say('error', `The picture is ${picture.width}×${picture.height}, another aspect than ${size}.`)
  }
  if (entries.some(({ origin }) => origin === 'automatic')) {
    for (const note of scene.notes) say('warning', note)
  }
  if (scene.count === null && entries.length === 0 && !state.problem) {
    say(
      'info',
      scene.connected
        ? 'Run once to see who is there.'
        : 'Connect ID patches to see who is to be placed.'
    )
  }
  if (!decides(scene) && !state.problem && entries.length) {
    say('info', `Arrangement “${scene.arrangement}” decides. Drag anybody to place by hand.`)
  } else if (entries.some(({ origin }) => origin === 'automatic') && !scene.locked) {
    say('info', 'Placed automatically. Drag anybody to place by hand.')
  }

  const missing = entries.filter(({ origin }) => origin === 'missing')
  if (missing.length) {
    const verb = missing.length === 1 ? 'has' : 'have'
    say('error', `${join(missing.map(nameOf))} ${verb} no place yet.`, {
      id: 'complete',
      label: 'Place'
    })
  }
  const surplus = entries.filter(({ origin }) => origin === 'surplus')
  if (surplus.length) {
    say(
      'error',
      `${plural(surplus.length, 'place')} too many for ${plural(scene.count, 'person', 'people')}.`,
      { id: 'trim', label: 'Remove' }
    )
  }
  const points = pointsOf(entries)
  const out = outside(points, scene.width, scene.height)
  if (out.length) {
    const [verb, get] = out.length === 1 ? ['stands', 'gets'] : ['stand', 'get']
    say(
      'warning',
      `${join(out.map((index) => nameOf(entries[index])))} ${verb} outside and ${get} no patch.`,
      { id: 'inside', label: 'Bring in' }
    )
  }
  const { width, height, patchSize, heads } = scene
  for (const [a, b] of overlapping(points, width, height, patchSize, heads)) {
    say('warning', `The patches of ${nameOf(entries[a])} and ${nameOf(entries[b])} overlap.`)
  }
  const { madeFor } = state
  if (madeFor && (madeFor.width !== scene.width || madeFor.height !== scene.height)) {
    say(
      'warning',
      `Made for ${madeFor.width}×${madeFor.height}; the picture is ${size}.`,
      { id: 'scale', label: 'Scale' },
      { id: 'keep', label: 'Keep pixels' }
    )
  }
  if (decides(scene) && reordered(state, scene)) {
    say(
      'warning',
      'The people come in another order than they were placed in.',
      { id: 'follow', label: 'Follow names' },
      { id: 'rename', label: 'Keep places' }
    )
  }
  const targets = targetsOf(scene)
  if (scene.count !== null && targets.length && targets.length < standing(entries).length) {
    const kind = scene.poses.length ? 'pose' : 'face'
    say('info', `Only ${plural(targets.length, kind)} found for ${scene.count} people.`)
  }
  const off = entries.filter(({ place, origin }) => !place.placed && origin === 'text')
  if (off.length) {
    const verb = off.length === 1 ? 'is' : 'are'
    say('info', `${join(off.map(nameOf))} ${verb} off the canvas.`, {
      id: 'return',
      label: 'Put back'
    })
  }
  const rank = { error: 0, warning: 1, info: 2 }
  return said.sort((a, b) => rank[a.level] - rank[b.level])
}

/** Where somebody comes back to: where they were, else their automatic place. */
export const placeOfReturn = (entry, entries, scene) =>
  clampInside(
    entry.point ?? automatic(Math.max(scene.count ?? entries.length, 1), scene)[entry.index],
    scene.width,
    scene.height
  )
