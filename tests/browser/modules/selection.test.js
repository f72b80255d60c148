import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  groupOf,
  isAdding,
  putLast,
  shiftTogether,
  toEvenSpacing,
  toggleSelected,
  toSameHeight
} from '../../../web/placer/selection.js'

const SIZE = { width: 640, height: 480 }
const THREE = [{ x: 100, y: 200 }, { x: 350.5, y: 90 }, { x: 500, y: 300 }, null]

test('Shift, Ctrl and Cmd add to the selection', () => {
  const event = { shiftKey: false, ctrlKey: false, metaKey: false }
  assert.equal(isAdding(event), false)
  for (const key of Object.keys(event)) assert.equal(isAdding({ ...event, [key]: true }), true)
})

test('a person is added as the last one, and taken out', () => {
  assert.deepEqual(toggleSelected([], 2), [2])
  assert.deepEqual(toggleSelected([2, 0], 1), [2, 0, 1])
  assert.deepEqual(toggleSelected([2, 0, 1], 2), [0, 1])
  assert.deepEqual(putLast([2, 0, 1], 0), [2, 1, 0])
})

test('who is not selected moves alone', () => {
  assert.deepEqual(groupOf([2, 0], 0), [2, 0])
  assert.deepEqual(groupOf([2, 0], 1), [1])
})

test('a group moves as far as its leader', () => {
  assert.deepEqual(shiftTogether(THREE, [0, 1, 3], 0, { x: 110, y: 180 }, SIZE), [
    { x: 110, y: 180 },
    { x: 360.5, y: 70 },
    null,
    null
  ])
})

test('one person alone goes where they are put', () => {
  const points = [{ x: 0.1, y: 0.2 }]
  assert.deepEqual(shiftTogether(points, [0], 0, { x: 3, y: 7 }, SIZE), [{ x: 3, y: 7 }])
})

test('a group stops where its first person reaches the edge, and keeps its shape', () => {
  assert.deepEqual(shiftTogether(THREE, [0, 1, 2], 0, { x: 400, y: 0 }, SIZE), [
    { x: 239, y: 110 },
    { x: 489.5, y: 0 },
    { x: 639, y: 210 },
    null
  ])
  const still = shiftTogether(
    [
      { x: 0, y: 5 },
      { x: 9, y: 5 }
    ],
    [0, 1],
    1,
    { x: 4, y: 5 },
    SIZE
  )
  assert.deepEqual(still, [null, null])
})

test('those outside the image do not go farther out, and the others may come in', () => {
  const points = [
    { x: -20, y: 5 },
    { x: 50, y: 5 }
  ]
  assert.equal(shiftTogether(points, [0, 1], 1, { x: 40, y: 5 }, SIZE)[1], null)
  assert.deepEqual(shiftTogether(points, [0, 1], 1, { x: 90, y: 5 }, SIZE), [
    { x: 20, y: 5 },
    { x: 90, y: 5 }
  ])
})

test('a leader off the canvas moves no one', () => {
  assert.deepEqual(shiftTogether(THREE, [0, 3], 3, { x: 1, y: 1 }, SIZE), [null, null, null, null])
})

test('the same height is that of the last selected person on the canvas', () => {
  assert.deepEqual(toSameHeight(THREE, [0, 2, 1]), [
    { x: 100, y: 90 },
    null,
    { x: 500, y: 90 },
    null
  ])
  assert.deepEqual(toSameHeight(THREE, [0, 2, 3]), [{ x: 100, y: 300 }, null, null, null])
  assert.deepEqual(toSameHeight(THREE, [3]), [null, null, null, null])
})

test('even spacing keeps the outermost people and all heights', () => {
  const points = [
    { x: 600, y: 1 },
    { x: 120, y: 2 },
    { x: 100, y: 3 },
    { x: 130, y: 4 }
  ]
  assert.deepEqual(toEvenSpacing(points, [3, 0, 2, 1]), [
    null,
    { x: 267, y: 2 },
    null,
    { x: 433, y: 4 }
  ])
  assert.deepEqual(toEvenSpacing(points, [0, 1, 2]), [null, { x: 350, y: 2 }, null, null])
  assert.deepEqual(toEvenSpacing(points, [0, 2]), [null, null, null, null])
  assert.deepEqual(toEvenSpacing(points, []), [null, null, null, null])
})
