import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  assignLeftToRight,
  isInside,
  outside,
  overlapping,
  patchSide,
  patchSquare,
  rint
} from '../../../web/placer/layout.js'

test('halves go to the even neighbour', () => {
  assert.deepEqual([0.5, 1.5, 2.5, -0.5, 2.4, 2.6].map(rint), [0, 2, 2, 0, 2, 3])
})

test('a point is inside while it rounds to a pixel', () => {
  assert.ok(isInside({ x: 0, y: 0 }, 64, 64))
  assert.ok(isInside({ x: -0.5, y: 63.4 }, 64, 64))
  assert.ok(!isInside({ x: 63.6, y: 0 }, 64, 64))
  assert.deepEqual(outside([{ x: -1, y: 5 }, null, { x: 3, y: 3 }], 64, 64), [0])
})

test('a patch of 64 pixels is centred on its point', () => {
  assert.deepEqual(patchSquare({ x: 100, y: 40 }, 64), { x: 68, y: 8, size: 64 })
})

test('patches overlap when they share pixels', () => {
  const points = [{ x: 100, y: 100 }, { x: 163, y: 100 }, { x: 164, y: 100 }, null]
  assert.deepEqual(overlapping(points, 512, 512), [
    [0, 1],
    [1, 2]
  ])
  assert.deepEqual(
    overlapping(
      [
        { x: 0, y: -9 },
        { x: 0, y: -9 }
      ],
      512,
      512
    ),
    []
  )
})

test('patches on heads are as large as the faces where the model wants it', () => {
  const heads = [
    { x: 100, y: 100, size: 100 },
    { x: 220, y: 100, size: 40 }
  ]
  assert.deepEqual(
    [100, 132, 133, 210].map((x) => patchSide({ x, y: 100 }, 64, heads)),
    [100, 100, 64, 40]
  )
  const points = [
    { x: 100, y: 100 },
    { x: 181, y: 100 },
    { x: 220, y: 100 }
  ]
  assert.deepEqual(overlapping(points, 512, 512, 64, heads), [
    [0, 1],
    [1, 2]
  ])
  assert.deepEqual(overlapping([points[0], { x: 170, y: 100 }], 512, 512, 64), [])
})

test('assigns points from left to right in the order of the people', () => {
  const [a, b, c] = [
    { x: 30, y: 0 },
    { x: 10, y: 5 },
    { x: 20, y: 9 }
  ]
  assert.deepEqual(assignLeftToRight([a, null, b, c]), [b, null, c, a])
  assert.deepEqual(
    assignLeftToRight(
      [a, b],
      [
        { x: 7, y: 7 },
        { x: 3, y: 3 }
      ]
    ),
    [
      { x: 3, y: 3 },
      { x: 7, y: 7 }
    ]
  )
  assert.deepEqual(assignLeftToRight([a, b], [{ x: 7, y: 7 }]), [b, a])
})
