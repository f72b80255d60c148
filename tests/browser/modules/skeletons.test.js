import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawSkeletons, groupTouching } from '../../../web/placer/skeletons.js'

const person = (joints) => Array.from({ length: 18 }, (_, index) => joints[index] ?? null)

/** The colour of a pixel of the image, null outside the part that is drawn. */
function pixel({ data, left, top, width, height }, x, y) {
  if (x < left || y < top || x >= left + width || y >= top + height) return null
  const at = ((y - top) * width + x - left) * 4
  return [...data.slice(at, at + 4)]
}

test('a limb is drawn over the joints, and joints that are no limb are not drawn', () => {
  const drawn = drawSkeletons([person({ 0: { x: 50, y: 20 }, 1: { x: 50.9, y: 80 } })], 100, 100)
  assert.deepEqual(pixel(drawn, 50, 50), [0, 0, 153, 255]) // the limb alone, at 0.6
  assert.deepEqual(pixel(drawn, 47, 20), [255, 0, 0, 255]) // the nose beside the limb
  assert.deepEqual(pixel(drawn, 50, 21), [102, 0, 153, 255])
  assert.equal(pixel(drawn, 45, 50)[3], 0)
  assert.equal(drawSkeletons([person({ 4: { x: 9, y: 9 } })], 64, 64).data[3], 0)
})

test('nothing is drawn without people or outside the image', () => {
  assert.equal(drawSkeletons([], 64, 64), null)
  const away = { 0: { x: -90, y: 20 }, 1: { x: -90, y: 50 } }
  assert.equal(drawSkeletons([person(away)], 64, 64), null)
})

test('people who touch are one group, in their order, and groups drawn alone are the whole', () => {
  const at = (x) => person({ 0: { x, y: 30 }, 1: { x: x + 9, y: 90 } })
  const people = [at(40), at(300), at(75), at(55), at(-400), at(310)]
  const groups = groupTouching(people, 400, 128)
  assert.deepEqual(groups, [
    [people[0], people[2], people[3]],
    [people[1], people[5]]
  ])
  const whole = drawSkeletons(people, 400, 128)
  const parts = groups.map((group) => drawSkeletons(group, 400, 128))
  const clear = (colour) => (colour?.[3] ? colour : null)
  let drawn = 0
  for (let y = 0; y < 128; y++) {
    for (let x = 0; x < 400; x++) {
      const [one = null, ...more] = parts.map((part) => clear(pixel(part, x, y))).filter(Boolean)
      assert.deepEqual(more, [])
      assert.deepEqual(one, clear(pixel(whole, x, y)))
      if (one) drawn += 1
    }
  }
  assert.ok(drawn > 1000)
})
