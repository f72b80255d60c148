import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  changed,
  EMPTY_SCENE,
  everybody,
  findings,
  keepPixels,
  pointsOf,
  read,
  reordered,
  write
} from '../../../web/placer/standing.js'

const scene = (more) => ({
  ...EMPTY_SCENE,
  count: 2,
  names: ['Ada', 'Bob'],
  connected: true,
  ...more
})
const TWO = '[{"x": 100, "y": 200}, {"x": 300, "y": 200}]'
const said = (text, more) => {
  const s = scene(more)
  const state = read(text, s)
  return findings(state, everybody(state, s), s).map((one) => one.text)
}

test('without a text people stand where Python puts them', () => {
  const entries = everybody(read('', scene()), scene())
  assert.deepEqual(pointsOf(entries), [
    { x: 256, y: 358 },
    { x: 768, y: 358 }
  ])
  assert.deepEqual(
    entries.map(({ origin }) => origin),
    ['automatic', 'automatic']
  )
})

test('poses give the automatic places when there are enough', () => {
  const poses = [
    { x: 700, y: 90 },
    { x: 200, y: 80 }
  ]
  const points = (more) => pointsOf(everybody(read('', scene(more)), scene(more)))
  assert.deepEqual(points({ poses }), [poses[1], poses[0]])
  assert.deepEqual(points({ poses: poses.slice(1) }), points({}))
  assert.deepEqual(points({ poses, arrangement: 'row' }), points({}))
})

test('a move writes everybody as they are seen, others unmoved', () => {
  const state = read(TWO, scene())
  const places = changed(everybody(state, scene()), { 1: { point: { x: 320, y: 210 } } }, scene())
  assert.equal(
    write({ places, extra: {} }, scene()),
    '{"version":1,"width":1024,"height":1024,"people":[{"x":100,"y":200,"name":"Ada"},' +
      '{"x":320,"y":210,"name":"Bob"}]}'
  )
})

test('places scale with the picture, and keep their pixels when asked', () => {
  const small = scene({ width: 512, height: 2048 })
  const state = read(TWO, scene())
  const points = (one) => pointsOf(everybody(one, small))
  assert.deepEqual(points(state), [
    { x: 50, y: 400 },
    { x: 150, y: 400 }
  ])
  assert.deepEqual(points(keepPixels(state, scene(), small)), [
    { x: 100, y: 200 },
    { x: 300, y: 200 }
  ])
})

test('says who has no place, and which place is nobody’s', () => {
  assert.ok(said('[{"x": 1, "y": 2}]', {}).includes('Bob has no place yet.'))
  assert.ok(said(TWO, { count: 1, names: ['Ada'] }).includes('1 place too many for 1 person.'))
})

test('says who overlaps, who is outside and who is off', () => {
  const text = '[{"x": 100, "y": 200}, {"x": 150, "y": 200}]'
  assert.ok(said(text).includes('The patches of Ada and Bob overlap.'))
  assert.ok(
    said('[{"x": 100, "y": 200}, {"x": 1024, "y": 9}]').includes(
      'Bob stands outside and gets no patch.'
    )
  )
  assert.ok(said('[{"x": 100, "y": 200}, null]').includes('Bob is off the canvas.'))
})

test('says that a text was made for another size, and that few poses were found', () => {
  const text = '{"version":1,"width":512,"height":512,"people":[{"x":1,"y":2},{"x":99,"y":2}]}'
  assert.ok(said(text).includes('Made for 512×512; the picture is 1024×1024.'))
  assert.ok(said(TWO, { poses: [{ x: 1, y: 1 }] }).includes('Only 1 pose found for 2 people.'))
})

test('a broken text is said and places nobody', () => {
  const state = read('{"version": 9}', scene())
  const [first] = findings(state, everybody(state, scene()), scene())
  assert.equal(first.level, 'error')
  assert.deepEqual(
    first.actions.map(({ id }) => id),
    ['reset', 'text']
  )
})

test('people who come in another order are noticed', () => {
  const text = '[{"x": 1, "y": 2, "name": "Bob"}, {"x": 99, "y": 2, "name": "Ada"}]'
  assert.deepEqual(reordered(read(text, scene()), scene()), [1, 0])
  assert.equal(reordered(read(TWO, scene()), scene()), null)
})

test('without knowledge of the graph the text says how many there are', () => {
  const unknown = scene({ count: null, names: [] })
  assert.equal(everybody(read(TWO, unknown), unknown).length, 2)
  assert.equal(everybody(read('', unknown), unknown).length, 0)
})

test('a picture of another aspect is said, as the node refuses it', () => {
  const state = read(TWO, scene())
  const texts = (picture) =>
    findings(state, everybody(state, scene()), scene(), picture).map(({ text }) => text)
  assert.deepEqual(texts({ width: 512, height: 515 }), [])
  assert.deepEqual(texts({ width: 896, height: 1152 }), [
    'The picture is 896×1152, another aspect than 1024×1024.'
  ])
})
