import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faceWidth, leastFace } from '../../../web/placer/small_faces.js'

/** @param {Record<number, [number, number]>} seen */
const skeleton = (seen) =>
  [...Array(18).keys()].map((joint) =>
    seen[joint] ? { x: seen[joint][0], y: seen[joint][1] } : null
  )

test('a face is 2.1 distances of the eyes wide', () => {
  assert.equal(faceWidth(skeleton({ 14: [90, 50], 15: [110, 50] })), 42)
})

test('a profile counts by its ear, and a hidden head not at all', () => {
  const width = faceWidth(skeleton({ 0: [100, 50], 14: [98, 48], 16: [62, 50] }))
  assert.ok(Math.abs(width - 42) < 1e-9) // 38 / 1.9 * 2.1
  assert.equal(faceWidth(skeleton({ 14: [90, 50] })), null)
})

test('a small face is narrower than 0.6 of a patch', () => {
  assert.ok(Math.abs(leastFace({ patchSize: 64 }) - 38.4) < 1e-9)
})
