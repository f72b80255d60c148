import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  boxOf,
  fitHeight,
  KINDS,
  makeBody,
  mirrorBody,
  readBody,
  scaleBody,
  toJoints
} from '../../../web/placer/bodies.js'

const [NOSE, R_SHOULDER, L_SHOULDER, R_WRIST, L_WRIST] = [0, 2, 5, 4, 7]

test('a body of each kind has its head at the point', () => {
  for (const kind of Object.keys(KINDS)) {
    const body = makeBody(kind, 400)
    const [nose, right, left] = [body[NOSE], body[16], body[17]]
    const head = nose ?? { x: right.x + left.x, y: right.y + left.y }
    assert.ok(Math.hypot(head.x, head.y) < 1e-9, kind)
  }
})

test('a mirror exchanges the sides', () => {
  const body = makeBody('hugging', 100)
  const mirrored = mirrorBody(body)
  assert.deepEqual(mirrored[R_WRIST], { x: -body[L_WRIST].x, y: body[L_WRIST].y })
  assert.ok(mirrored[R_SHOULDER].x < mirrored[L_SHOULDER].x)
  assert.deepEqual(mirrorBody(mirrored), body)
})

test('a face is as wide as its patch, or smaller where others or the edge are near', () => {
  const point = { x: 500, y: 300 }
  const widths = (others, y = 300) => {
    const body = makeBody('standing', fitHeight('standing', { x: 500, y }, others, 2000, 64))
    return Math.round(2.1 * (body[15].x - body[14].x))
  }
  assert.equal(widths([]), 64)
  assert.equal(widths([{ x: 700, y: point.y }]), 50) // 200 pixels apart, 667 high
  assert.equal(widths([], 1300), 54) // 620 pixels above the ground, 717 high
  assert.equal(widths([{ x: 510, y: point.y }]), 26) // no less than 0.4 of the patch
})

test('joints are read as a body and are the same again elsewhere', () => {
  const joints = toJoints({ x: 10, y: 20 }, scaleBody(makeBody('portrait', 100), 2))
  const moved = toJoints({ x: 13, y: 18.5 }, readBody(joints, { x: 10, y: 20 }))
  assert.deepEqual(
    moved[1],
    joints[1] && { x: joints[1].x + 3, y: Math.round((joints[1].y - 1.5) * 100) / 100 }
  )
  assert.equal(moved[10], null)
})

test('the box is around the joints that are seen', () => {
  assert.deepEqual(boxOf([{ x: 3, y: 9 }, null, { x: -1, y: 4 }]), {
    left: -1,
    top: 4,
    right: 3,
    bottom: 9
  })
  assert.equal(boxOf([null]), null)
})
