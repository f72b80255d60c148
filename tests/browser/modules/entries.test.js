import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  applyChanges,
  arrange,
  listEntries,
  moveInside,
  overlapsOf,
  pointsOf,
  putBack
} from '../../../web/placer/entries.js'
import { EMPTY_GRAPH_STATE } from '../../../web/placer/graph_state.js'
import { keepPixels, readState, writeState } from '../../../web/placer/placements.js'

const graphState = (more) => ({
  ...EMPTY_GRAPH_STATE,
  count: 2,
  names: ['Ada', 'Bob'],
  connected: true,
  ...more
})
const GRAPH = graphState()
const TWO = '[{"x": 100, "y": 200}, {"x": 300, "y": 200}]'
const read = (text, graph = GRAPH) => listEntries(readState(text, graph), graph)

test('without a text people are where Python puts them', () => {
  const entries = read('')
  assert.deepEqual(pointsOf(entries), [
    { x: 256, y: 358 },
    { x: 768, y: 358 }
  ])
  assert.deepEqual(
    entries.map(({ origin }) => origin),
    ['automatic', 'automatic']
  )
})

test('poses give the automatic points when there are enough', () => {
  const poses = [
    { x: 700, y: 90 },
    { x: 200, y: 80 }
  ]
  const points = (more) => pointsOf(read('', graphState(more)))
  assert.deepEqual(points({ poses }), [poses[1], poses[0]])
  assert.deepEqual(points({ poses: poses.slice(1) }), points({}))
  assert.deepEqual(points({ poses, arrangement: 'row' }), points({}))
})

test('before a run finds the poses, people are shown provisionally and overlap nowhere', () => {
  const narrow = { width: 64, height: 64, patchSizeKnown: true }
  const overlaps = (awaited) => {
    const graph = graphState({ ...narrow, awaited })
    const entries = read('', graph)
    return [entries[0].origin, overlapsOf(entries, graph).length]
  }
  assert.deepEqual(overlaps('poses'), ['provisional', 0])
  assert.deepEqual(overlaps(null), ['automatic', 1])
  const placed = graphState({ awaited: 'poses' })
  assert.equal(read(TWO, placed)[0].origin, 'text')
})

test('a move writes each person as they are seen, others unmoved', () => {
  const placements = applyChanges(read(TWO), { 1: { point: { x: 320, y: 210 } } }, GRAPH)
  assert.equal(
    writeState({ placements, extra: {} }, GRAPH),
    '{"version":1,"width":1024,"height":1024,"people":[{"x":100,"y":200,"name":"Ada"},' +
      '{"x":320,"y":210,"name":"Bob"}]}'
  )
})

test('placements scale with the image, and keep their pixels when asked', () => {
  const small = graphState({ width: 512, height: 2048 })
  const state = readState(TWO, GRAPH)
  const points = (one) => pointsOf(listEntries(one, small))
  assert.deepEqual(points(state), [
    { x: 50, y: 400 },
    { x: 150, y: 400 }
  ])
  assert.deepEqual(points(keepPixels(state, GRAPH, small)), [
    { x: 100, y: 200 },
    { x: 300, y: 200 }
  ])
})

test('arranges those on the canvas only', () => {
  const graph = graphState({ count: 3, names: ['Ada', 'Bob', 'Cem'] })
  const entries = read('[{"x": 1, "y": 2}, null, {"x": 5, "y": 6}]', graph)
  assert.deepEqual(arrange(entries, 'row', graph), {
    0: { point: { x: 256, y: 358 } },
    2: { point: { x: 768, y: 358 } }
  })
})

test('brings people outside the image to its edge', () => {
  const changes = moveInside(read('[{"x": -9, "y": 200}, {"x": 3000, "y": 30}]'), GRAPH)
  assert.deepEqual(changes, { 0: { point: { x: 0, y: 200 } }, 1: { point: { x: 1023, y: 30 } } })
})

test('puts people back where they were, or where they would be automatically', () => {
  const entries = read('[{"x": 7, "y": 8, "placed": false}, null]')
  assert.deepEqual(putBack(entries, [0, 1], GRAPH), {
    0: { placed: true, point: { x: 7, y: 8 } },
    1: { placed: true, point: { x: 768, y: 358 } }
  })
})

const NAMED = '[{"x": 1, "y": 2, "name": "Bob"}, {"x": 999, "y": 2, "name": "Ada"}]'
const origins = (entries) => entries.map(({ origin }) => origin)

test('people have the placements of their names', () => {
  assert.deepEqual(pointsOf(read(NAMED)), [
    { x: 999, y: 2 },
    { x: 1, y: 2 }
  ])
})

test('who is gone keeps no one from their placement, and can be removed', () => {
  const graph = graphState({ count: 1, names: ['Ada'] })
  const entries = read(NAMED, graph)
  assert.deepEqual(origins(entries), ['text', 'gone'])
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['Ada', 'Bob']
  )
  assert.deepEqual(pointsOf(entries), [{ x: 999, y: 2 }, null])
})

test('who is new is placed apart from the others', () => {
  const graph = graphState({ count: 3, names: ['Eve', 'Ada', 'Bob'] })
  const entries = read(NAMED, graph)
  assert.deepEqual(origins(entries), ['new', 'text', 'text'])
  const [eve, ada] = pointsOf(entries)
  assert.deepEqual(ada, { x: 999, y: 2 })
  assert.deepEqual(eve, { x: 171, y: 358 })
})

test('who is renamed stays', () => {
  const graph = graphState({ names: ['Ada', 'Rob'] })
  assert.deepEqual(pointsOf(read(NAMED, graph)), [
    { x: 999, y: 2 },
    { x: 1, y: 2 }
  ])
})

test('without knowledge of the graph the text says how many there are', () => {
  const unknown = graphState({ count: null, names: [] })
  assert.equal(read(TWO, unknown).length, 2)
  assert.equal(read('', unknown).length, 0)
})
