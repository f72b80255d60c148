import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headsOf, PRESETS, scaleSkeletons } from '../../../web/placer/poses.js'

const SIZE = { width: 900, height: 1000 }

test('the built-in poses are rows of standing people', () => {
  const people = PRESETS.standing_3(SIZE)
  assert.deepEqual(
    people.map((joints) => Math.round(joints[0].x)),
    [150, 450, 750]
  )
  const [left, middle, right] = people.map(([{ y }]) => y)
  assert.ok(left < right && right < middle)
})

test('heads come with the largest person first, at the size of the output', () => {
  const scaled = scaleSkeletons(PRESETS.standing_3(SIZE), SIZE, { width: 450, height: 500 })
  assert.deepEqual(
    headsOf(scaled).map(({ x, skeleton }) => [Math.round(x), skeleton]),
    [
      [75, 0],
      [375, 2],
      [225, 1]
    ]
  )
})

test('the head of a person from behind is between the ears', () => {
  const [joints] = PRESETS.back_turned_1(SIZE)
  const [head] = headsOf([joints])
  assert.equal(joints[0], null)
  assert.ok(Math.abs(head.x - 450) < 1e-9 && head.y === joints[16].y)
})
