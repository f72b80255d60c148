import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  clampInside,
  contain,
  drag,
  fromView,
  hitTest,
  isInside,
  leftToRight,
  outside,
  overlapping,
  patchSquare,
  rint,
  sideAt,
  snap,
  toView
} from '../../../web/placer/geometry.js'

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
    [100, 132, 133, 210].map((x) => sideAt({ x, y: 100 }, 64, heads)),
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

test('a drag moves as far as the pointer, snaps within reach and stays inside', () => {
  const picture = { width: 200, height: 100 }
  const [start, from] = [
    { x: 50, y: 50 },
    { x: 55, y: 45 }
  ]
  assert.deepEqual(drag(start, from, { x: 65, y: 40 }, picture), { x: 60, y: 45 })
  assert.deepEqual(drag(start, from, { x: 999, y: -9 }, picture), { x: 199, y: 0 })
  const targets = [
    { x: 64, y: 45 },
    { x: 61, y: 45 }
  ]
  assert.deepEqual(drag(start, from, { x: 65, y: 40 }, { ...picture, targets, reach: 5 }), {
    x: 61,
    y: 45
  })
  assert.deepEqual(snap({ x: 0, y: 0 }, targets, 5), { x: 0, y: 0 })
})

test('keeps a point on a whole pixel of the picture', () => {
  assert.deepEqual(clampInside({ x: 640.4, y: -3 }, 640, 480), { x: 639, y: 0 })
})

test('hits the topmost, the chosen one first', () => {
  const points = [{ x: 10, y: 10 }, { x: 12, y: 10 }, null]
  assert.equal(hitTest(points, { x: 11, y: 10 }, 5), 1)
  assert.equal(hitTest(points, { x: 11, y: 10 }, 5, 0), 0)
  assert.equal(hitTest(points, { x: 40, y: 10 }, 5), -1)
})

test('deals out places from left to right in the order of the people', () => {
  const [a, b, c] = [
    { x: 30, y: 0 },
    { x: 10, y: 5 },
    { x: 20, y: 9 }
  ]
  assert.deepEqual(leftToRight([a, null, b, c]), [b, null, c, a])
  assert.deepEqual(
    leftToRight(
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
  assert.deepEqual(leftToRight([a, b], [{ x: 7, y: 7 }]), [b, a])
})

test('fits a picture into a box, there and back', () => {
  const view = contain(2000, 1000, 120, 120, 10)
  assert.deepEqual(view, { scale: 0.05, left: 10, top: 35 })
  assert.deepEqual(toView(view, { x: 2000, y: 1000 }), { x: 110, y: 85 })
  assert.deepEqual(fromView(view, { x: 110, y: 85 }), { x: 2000, y: 1000 })
})
