import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findFreePoint, matchNames } from '../../../web/placer/newcomers.js'

const STORED = ['Ada', 'Bob', 'Cleo']
const match = (names, placed = [true, true, true]) => matchNames(STORED, placed, names)

test('people are matched by name', () => {
  assert.deepEqual(match(['Cleo', 'Ada', 'Bob']), [2, 0, 1])
  assert.deepEqual(match(['Ada', 'Cleo']), [0, 2])
  assert.deepEqual(match(['Ada', 'Dan', 'Bob', 'Cleo']), [0, null, 1, 2])
  assert.equal(match(['Ada', 'Ada']), null)
  assert.equal(match(['Ada', null]), null)
})

test('who is new takes the placement of who is gone, unless that is off the canvas', () => {
  assert.deepEqual(match(['Ada', 'Rob', 'Cleo']), [0, 1, 2])
  assert.deepEqual(match(['Bob', 'Dan', 'Eve']), [1, 0, 2])
  assert.deepEqual(match(['Ada', 'Rob', 'Cleo'], [true, false, true]), [0, null, 2])
})

test('a free point is apart from the others', () => {
  assert.deepEqual(findFreePoint(1, 2, [], 1024, 1024, 64), { x: 768, y: 358 })
  const { x, y } = findFreePoint(1, 2, [{ x: 760, y: 350 }], 1024, 1024, 64)
  const away = Math.max(Math.abs(x - 760), Math.abs(y - 350))
  assert.ok(away >= 128 && away <= 160)
})
