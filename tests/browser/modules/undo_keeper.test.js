import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UndoKeeper } from '../../../web/undo_keeper.js'

const element = (isConnected) => ({
  isConnected,
  replaceWith(other) {
    this.replaced = other
  }
})

test('the node that undo makes gets the note, and its element the old place', () => {
  const [keeper, old, fresh] = [new UndoKeeper(), element(true), element(false)]
  keeper.keep('1', 'note', old)
  assert.deepEqual(keeper.take('1', fresh), { note: 'note', fresh: true })
  assert.equal(old.replaced, fresh)
  assert.equal(keeper.take('1', fresh), undefined)
})

test('an element is let go after a moment, and a note when there are many', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const keeper = new UndoKeeper()
  for (let number = 0; number < 33; number++) keeper.keep(String(number), number, element(true))
  assert.equal(keeper.take('0', element(false)), undefined)
  context.mock.timers.tick(5000)
  assert.ok([...keeper.kept.values()].every((kept) => kept.element === null))
  assert.deepEqual(keeper.take('32', element(false)), { note: 32, fresh: false })
})
