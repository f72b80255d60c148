import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numberOf } from '../../../web/placer/links.js'

/** A node whose `width` is connected to the only output of a node with these widgets. */
function widthFrom(widgets, inputs = []) {
  const primitive = {
    id: 1,
    type: 'PrimitiveInt',
    widgets,
    inputs,
    outputs: [{ name: 'INT', type: 'INT' }],
    isInputConnected: (slot) => Boolean(inputs[slot]?.connected)
  }
  return {
    graph: { getNodeById: () => primitive },
    inputs: [{ name: 'width', type: 'INT' }],
    getInputLink: () => ({ origin_id: 1, origin_slot: 0 }),
    isInputConnected: () => true
  }
}

test('a connected number is known, whatever its control widget is called', () => {
  for (const name of ['control_after_generate', 'fixed']) {
    const control = { name, value: 'fixed' }
    const value = { name: 'value', value: 2048, linkedWidgets: [control] }
    assert.equal(numberOf(widthFrom([value, control]), 'width'), 2048)
  }
})

test('a number that is computed or one of several settings is not known', () => {
  const value = { name: 'value', value: 2048 }
  assert.equal(numberOf(widthFrom([value, { name: 'unit', value: 'cm' }]), 'width'), null)
  assert.equal(numberOf(widthFrom([value], [{ name: 'a', connected: true }]), 'width'), null)
})
