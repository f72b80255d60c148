import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeStanding, nosesOf, PRESETS, scaleSkeletons } from '../../../web/placer/poses.js'

test('the built-in poses are rows of standing people', () => {
  assert.equal(PRESETS.standing_3, 3)
  const people = makeStanding(3, { width: 900, height: 1000 })
  assert.deepEqual(
    people.map((joints) => Math.round(joints[0].x)),
    [150, 450, 750]
  )
  const [left, middle, right] = people.map(([{ y }]) => y)
  assert.ok(left < right && right < middle)
})

test('noses come with the largest person first, at the size of the output', () => {
  const people = makeStanding(3, { width: 900, height: 1000 })
  const scaled = scaleSkeletons(people, { width: 900, height: 1000 }, { width: 450, height: 500 })
  assert.deepEqual(
    nosesOf(scaled).map(({ x }) => Math.round(x)),
    [75, 375, 225]
  )
})
