import assert from 'node:assert/strict'
import { test } from 'node:test'
import { align, drag } from '../../../web/placer/geometry.js'
import { linesOf, linesThrough } from '../../../web/placer/image_lines.js'

const SIZE = { width: 1000, height: 600 }
const LINES = linesOf(SIZE)
const ORIGIN = { x: 0, y: 0 }

test('the lines are the centre and the thirds, on whole pixels', () => {
  assert.deepEqual(LINES, { x: [333, 500, 667], y: [200, 300, 400] })
})

test('a point is on the lines at exactly its x and y', () => {
  assert.deepEqual(linesThrough({ x: 333, y: 300 }, SIZE), { x: [333], y: [300] })
  assert.deepEqual(linesThrough({ x: 334, y: 299.5 }, SIZE), { x: [], y: [] })
})

test('a point is brought to lines within reach, in x and y apart', () => {
  assert.deepEqual(align({ x: 505, y: 320 }, [], 6, LINES), { x: 500, y: 320 })
  assert.deepEqual(align({ x: 507, y: 394 }, [], 6, LINES), { x: 507, y: 400 })
})

test('being in line with a person comes before the lines of the image', () => {
  assert.deepEqual(align({ x: 501, y: 301 }, [{ x: 505, y: 90 }], 6, LINES), { x: 505, y: 300 })
})

test('a drag snaps to a line within 6 of 14, and not without lines', () => {
  const to = (x, lines) => drag(ORIGIN, ORIGIN, { x, y: 50 }, { ...SIZE, reach: 14, lines }).x
  assert.deepEqual([to(506, LINES), to(507, LINES), to(506)], [500, 507, 506])
})
