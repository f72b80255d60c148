import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePlacements, serialisePlacements } from '../../../web/placer/placements.js'

const person = (x, y, more = {}) => ({
  x,
  y,
  placed: true,
  patchStrength: 1,
  name: null,
  extra: {},
  body: null,
  ...more
})

test('an empty text, and an empty list, are automatic', () => {
  for (const text of ['', ' \n', '[]', '{"version": 1, "people": []}']) {
    assert.deepEqual(parsePlacements(text).people, [])
  }
})

test('reads a list of points', () => {
  const { people, width } = parsePlacements(
    '[{"x": 412.5, "y": 230}, null, {"x": 1, "y": 2, "placed": false}]'
  )
  assert.deepEqual(people, [
    person(412.5, 230),
    person(null, null, { placed: false }),
    person(1, 2, { placed: false })
  ])
  assert.equal(width, null)
})

test('what is read and written again is the same, unknown fields included', () => {
  const text =
    '{"version":1,"width":640,"height":480,"people":[{"x":1,"y":2.25,"name":"Ada","hat":true},' +
    '{"x":3,"y":4,"placed":false,"patch_strength":0.5},null],"colour":"red"}'
  assert.equal(serialisePlacements(parsePlacements(text)), text)
})

test('no one is written as the empty text', () => {
  assert.equal(serialisePlacements({ people: [], width: 64, height: 64 }), '')
})

test('says what is wrong', () => {
  const problems = {
    '[{"x": 1,': /not JSON/,
    '[{"x": NaN, "y": 1}]': /not JSON/,
    '{"people": []}': /no version/,
    '{"version": 2, "people": []}': /version 2; this editor reads version 1/,
    '{"version": 1.5, "people": []}': /version 1.5/,
    '{"version": true, "people": []}': /version true/,
    '{"version": 1}': /no list of "people"/,
    7: /Expected a list .* got 7/,
    '{"version": 1, "people": {}}': /Expected a list/,
    '[3]': /Person 1: expected \{"x"/,
    '[{"x": 1, "y": 2}, {"x": 1}]': /Person 2: y is missing/,
    '[{"x": "1", "y": 2}]': /x must be a number, got "1"/,
    '[{"x": true, "y": 2}]': /x must be a number, got true/,
    '[{"x": 1e400, "y": 2}]': /far outside any image/,
    '[{"x": 5, "y": -2e6}]': /y is -2000000 pixels/,
    '[{"x": 5, "y": 2, "patch_strength": 11}]': /patch_strength must be/,
    '[{"x": 5, "y": 2, "patch_strength": "1"}]': /patch_strength must be/,
    '[{"x": 5, "y": 2, "placed": 1}]': /placed must be true or false/
  }
  for (const [text, problem] of Object.entries(problems))
    assert.match(parsePlacements(text), problem)
})
