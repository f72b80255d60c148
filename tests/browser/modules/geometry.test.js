import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  align,
  clampInside,
  contain,
  drag,
  fromStage,
  hitTest,
  snap,
  toStage
} from '../../../web/placer/geometry.js'

test('a drag moves as far as the pointer, snaps within reach and stays inside', () => {
  const image = { width: 200, height: 100 }
  const [start, from] = [
    { x: 50, y: 50 },
    { x: 55, y: 45 }
  ]
  assert.deepEqual(drag(start, from, { x: 65, y: 40 }, image), { x: 60, y: 45 })
  assert.deepEqual(drag(start, from, { x: 999, y: -9 }, image), { x: 199, y: 0 })
  const targets = [
    { x: 64, y: 45 },
    { x: 61, y: 45 }
  ]
  assert.deepEqual(drag(start, from, { x: 65, y: 40 }, { ...image, targets, reach: 5 }), {
    x: 61,
    y: 45
  })
  assert.deepEqual(snap({ x: 0, y: 0 }, targets, 5), { x: 0, y: 0 })
})

test('keeps a point on a whole pixel of the image', () => {
  assert.deepEqual(clampInside({ x: 640.4, y: -3 }, 640, 480), { x: 639, y: 0 })
})

test('hits the topmost, the chosen one first', () => {
  const points = [{ x: 10, y: 10 }, { x: 12, y: 10 }, null]
  assert.equal(hitTest(points, { x: 11, y: 10 }, 5), 1)
  assert.equal(hitTest(points, { x: 11, y: 10 }, 5, 0), 0)
  assert.equal(hitTest(points, { x: 40, y: 10 }, 5), -1)
})

test('fits a image into a box, there and back', () => {
  const viewport = contain({ width: 2000, height: 1000 }, { width: 120, height: 120 }, 10)
  assert.deepEqual(viewport, { scale: 0.05, left: 10, top: 35 })
  assert.deepEqual(toStage(viewport, { x: 2000, y: 1000 }), { x: 110, y: 85 })
  assert.deepEqual(fromStage(viewport, { x: 110, y: 85 }), { x: 2000, y: 1000 })
})

test('a point is brought in line with others that are near in x or y', () => {
  const others = [
    { x: 100, y: 50 },
    { x: 104, y: 300 }
  ]
  assert.deepEqual(align({ x: 101, y: 200 }, others, 5), { x: 100, y: 200 })
  assert.deepEqual(align({ x: 103, y: 297 }, others, 5), { x: 104, y: 300 })
  assert.deepEqual(align({ x: 120, y: 200 }, others, 5), { x: 120, y: 200 })
})

test('a drag prefers a target to a line', () => {
  const image = { width: 500, height: 500, reach: 20 }
  const [start, from] = [
    { x: 0, y: 0 },
    { x: 0, y: 0 }
  ]
  const others = [{ x: 300, y: 100 }]
  const to = { x: 50, y: 106 }
  assert.deepEqual(drag(start, from, to, { ...image, others }), { x: 50, y: 100 })
  const targets = [{ x: 55, y: 112 }]
  assert.deepEqual(drag(start, from, to, { ...image, others, targets }), targets[0])
})
