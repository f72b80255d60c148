import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeBody } from '../../../web/placer/bodies.js'
import { listEntries } from '../../../web/placer/entries.js'
import { EMPTY_GRAPH_STATE } from '../../../web/placer/graph_state.js'
import { boxOnStage, dragHandle, findHandle, handlesOf } from '../../../web/placer/handles.js'
import { readState } from '../../../web/placer/placements.js'

const GRAPH = { ...EMPTY_GRAPH_STATE, count: 1, names: ['Ada'] }
const VIEWPORT = { scale: 0.5, left: 10, top: 20 }
const BOX = { width: 600, height: 600 }
const body = makeBody('standing', 400).map((joint) => joint && [joint.x, joint.y])
const TEXT = JSON.stringify([{ x: 500, y: 300, body }])
const [ENTRY] = listEntries(readState(TEXT, GRAPH), GRAPH)

test('the box is around the joints and on the stage', () => {
  const { left, top, right, bottom } = boxOnStage(ENTRY, VIEWPORT, BOX)
  assert.deepEqual([left, right].map(Math.round), [222, 298]) // 260 ± 28 ± 10
  assert.deepEqual([top, bottom].map(Math.round), [157, 353])
  const small = boxOnStage(ENTRY, VIEWPORT, { width: 280, height: 300 })
  assert.deepEqual([small.right, small.bottom], [272, 292])
})

test('joints have handles, but those of the face lie under the marker', () => {
  const parts = handlesOf(ENTRY, VIEWPORT, BOX, 20).map(({ part }) => part)
  assert.ok(parts.includes('scale') && parts.includes('mirror'))
  for (const joint of [4, 7, 10, 13]) assert.ok(parts.includes(joint))
  for (const joint of [0, 14, 15, 16, 17]) assert.ok(!parts.includes(joint))
})

test('the nearest handle within reach is found', () => {
  const handles = handlesOf(ENTRY, VIEWPORT, BOX, 20)
  const ankle = handles.find(({ part }) => part === 10)
  assert.equal(findHandle(handles, { x: ankle.at.x + 3, y: ankle.at.y }).part, 10)
  assert.equal(findHandle(handles, { x: 560, y: 30 }), undefined)
})

test('a handle scales about the face, or moves its joint', () => {
  const handles = handlesOf(ENTRY, VIEWPORT, BOX, 20)
  const face = { x: 260, y: 170 }
  const scale = handles.find(({ part }) => part === 'scale')
  const far = { x: face.x + 2 * (scale.at.x - face.x), y: face.y + 2 * (scale.at.y - face.y) }
  assert.equal(Math.round(dragHandle(ENTRY, scale, far, VIEWPORT, GRAPH)[10].y), 692)
  const wrist = handles.find(({ part }) => part === 4)
  const bent = dragHandle(ENTRY, wrist, { x: 210, y: 120 }, VIEWPORT, GRAPH)
  assert.deepEqual(bent[4], { x: -100, y: -100 })
})
