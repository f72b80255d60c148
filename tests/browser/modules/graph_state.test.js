import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY_GRAPH_STATE, targetsOf, usesPlacements } from '../../../web/placer/graph_state.js'

test('people snap to poses, or to faces where there are no poses', () => {
  const [poses, faces] = [[{ x: 1, y: 2 }], [{ x: 3, y: 4 }]]
  assert.equal(targetsOf({ ...EMPTY_GRAPH_STATE, poses, faces }), poses)
  assert.equal(targetsOf({ ...EMPTY_GRAPH_STATE, faces }), faces)
})

test('an arrangement of its own leaves the text unused', () => {
  const used = ['auto', 'placements', 'row', 'pose', 'faces'].map((arrangement) =>
    usesPlacements({ arrangement })
  )
  assert.deepEqual(used, [true, true, false, false, false])
})
