import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  applyChanges,
  arrange,
  assignPlacements,
  listEntries,
  swapPeople
} from '../../../web/placer/entries.js'
import {
  bodyOf,
  bodyOfKind,
  bodyWithJoint,
  mirroredBody,
  moveWithBody,
  previewChanges,
  scaledBody,
  skeletonsToDraw
} from '../../../web/placer/entry_bodies.js'
import { EMPTY_GRAPH_STATE } from '../../../web/placer/graph_state.js'
import { readState, writeState } from '../../../web/placer/placements.js'
import { headsOf, PRESETS } from '../../../web/placer/poses.js'

const SIZE = { width: 1024, height: 1024 }
const SKELETONS = PRESETS.standing_2(SIZE)
const POSES = headsOf(SKELETONS)

const graphState = (more) => ({
  ...EMPTY_GRAPH_STATE,
  count: 2,
  names: ['Ada', 'Bob'],
  connected: true,
  ...more
})
const POSED = graphState({ poses: POSES, skeletons: SKELETONS })
const read = (text, graph) => listEntries(readState(text, graph), graph)

/** The entries after changes, written as text and read again. */
function change(entries, changes, graph) {
  const text = writeState({ placements: applyChanges(entries, changes, graph), extra: {} }, graph)
  return read(text, graph)
}

const sources = (entries) => entries.map(({ source }) => source)
const near = (a, b, tolerance = 0.02) => Math.hypot(a.x - b.x, a.y - b.y) <= tolerance

test('people on poses have their skeletons, and all poses are drawn', () => {
  const entries = read('', POSED)
  assert.deepEqual(sources(entries), ['pose', 'pose'])
  assert.equal(skeletonsToDraw(entries, POSED), SKELETONS)
})

test('a person who is moved takes the skeleton along', () => {
  const entries = read('', POSED)
  const point = { x: 300, y: 400 }
  const moved = change(entries, { 0: moveWithBody(entries[0], point, POSED) }, POSED)
  assert.deepEqual(sources(moved), ['placement', 'pose'])
  const [own, other] = skeletonsToDraw(moved, POSED)
  const [nose, ankle] = [SKELETONS[0][0], SKELETONS[0][10]]
  assert.ok(near(own[0], point))
  assert.ok(near(own[10], { x: 300 + ankle.x - nose.x, y: 400 + ankle.y - nose.y }))
  assert.equal(other, SKELETONS[1])
})

test('a person who is put on a free pose has its skeleton', () => {
  const entries = read('', POSED)
  const away = change(entries, { 0: moveWithBody(entries[0], { x: 60, y: 60 }, POSED) }, POSED)
  assert.ok(away[0].placement.body)
  const [head] = [...POSES].sort((a, b) => a.x - b.x)
  const at = { x: Math.round(head.x), y: Math.round(head.y) }
  const back = change(away, { 0: moveWithBody(away[0], at, POSED) }, POSED)
  assert.deepEqual(sources(back), ['pose', 'pose'])
  assert.equal(back[0].placement.body, null)
})

test('with a base image the skeletons are in it and no one takes one along', () => {
  const graph = { ...POSED, hasBase: true, drawsPoses: false }
  const entries = read('', graph)
  assert.deepEqual(sources(entries), [null, null])
  const point = { x: 300, y: 400 }
  assert.deepEqual(moveWithBody(entries[0], point, graph), { point })
  assert.deepEqual(skeletonsToDraw(entries, graph), [])
})

test('two who are swapped leave the bodies where they are', () => {
  const entries = read('', POSED)
  const moved = change(entries, { 0: moveWithBody(entries[0], { x: 300, y: 400 }, POSED) }, POSED)
  const swapped = change(moved, swapPeople(moved, 0, 1, POSED), POSED)
  assert.deepEqual(sources(swapped), ['pose', 'placement'])
  assert.ok(near(swapped[1].point, { x: 300, y: 400 }))
  assert.ok(near(swapped[1].joints[10], moved[0].joints[10]))
  const sorted = change(swapped, assignPlacements(swapped, [], POSED), POSED)
  assert.ok(near(sorted[0].joints[10], moved[0].joints[10]))
})

test('an arrangement moves bodies, too', () => {
  const entries = read('', POSED)
  const inRow = change(entries, arrange(entries, 'row', POSED), POSED)
  assert.deepEqual(sources(inRow), ['placement', 'placement'])
  assert.ok(near(inRow[1].joints[0], inRow[1].point))
})

test('the node gives bodies of a kind to people without one', () => {
  const graph = graphState({ bodies: 'sitting' })
  const entries = read('', graph)
  assert.deepEqual(sources(entries), ['kind', 'kind'])
  const off = change(entries, { 0: { placed: false } }, graph)
  assert.deepEqual(sources(off), [null, 'kind'])
  assert.equal(skeletonsToDraw(off, graph).length, 1)
  assert.deepEqual(sources(read('', graphState({ bodies: 'from_pose' }))), [null, null])
})

test('a body is scaled about the face, mirrored, and bent at a joint', () => {
  const graph = graphState({ bodies: 'hugging' })
  const [entry] = read('', graph)
  const body = bodyOf(entry, graph)
  assert.ok(near(scaledBody(entry, 2, graph)[10], { x: 2 * body[10].x, y: 2 * body[10].y }))
  assert.ok(near(mirroredBody(entry, graph)[4], { x: -body[7].x, y: body[7].y }))
  const bent = bodyWithJoint(entry, 4, { x: entry.point.x + 5, y: entry.point.y - 6 }, graph)
  assert.deepEqual(bent[4], { x: 5, y: -6 })
  assert.deepEqual(bent[5], body[5])
})

test('a preview is what the text would give', () => {
  const entries = read('', POSED)
  const body = bodyOfKind(entries, 1, 'sitting', POSED)
  const preview = previewChanges(entries, { 1: { body } }, POSED)
  const written = change(entries, { 1: { body } }, POSED)
  assert.deepEqual(sources(preview), sources(written))
  assert.ok(preview[1].joints.every((joint, index) => near(joint, written[1].joints[index])))
})

test('a body keeps its shape in an image of another size', () => {
  const graph = graphState({ bodies: 'none' })
  const entries = read('', graph)
  const body = bodyOfKind(entries, 0, 'standing', graph)
  const placements = applyChanges(entries, { 0: { body } }, graph)
  const wide = { ...graph, width: 4096 }
  const [scaled] = read(writeState({ placements, extra: {} }, wide), wide)
  assert.ok(near(bodyOf(scaled, wide)[10], { x: 2 * body[10].x, y: 2 * body[10].y }))
})
