import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  amend,
  canRedo,
  canUndo,
  currentText,
  follow,
  record,
  startHistory,
  step
} from '../../../web/placer/history.js'

const around = (history) => [canUndo(history), currentText(history), canRedo(history)]

test('undo and redo walk through the texts', () => {
  let history = record(record(startHistory(''), 'a'), 'b')
  assert.deepEqual(around(history), [true, 'b', false])
  history = step(step(history, -1), -1)
  assert.deepEqual(around(history), [false, '', true])
  assert.deepEqual(around(step(history, -1)), around(history))
  history = record(step(history, 1), 'c')
  assert.deepEqual(around(history), [true, 'c', false])
})

test('a text that another undo brought back is a step back', () => {
  const history = record(record(startHistory(''), 'a'), 'b')
  assert.deepEqual(around(follow(history, 'a')), [true, 'a', true])
  assert.deepEqual(around(follow(follow(history, 'a'), 'b')), [true, 'b', false])
  assert.deepEqual(around(follow(history, 'x')), [true, 'x', false])
})

test('a held key is one step', () => {
  const history = amend(record(startHistory(''), 'a1'), 'a2')
  assert.deepEqual(around(history), [true, 'a2', false])
  assert.equal(currentText(step(history, -1)), '')
})
