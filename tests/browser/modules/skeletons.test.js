import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawSkeletons } from '../../../web/placer/skeletons.js'

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
