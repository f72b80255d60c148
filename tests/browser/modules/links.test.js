import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numberOf, source } from '../../../web/placer/links.js'

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

test('what feeds a subgraph is found through the node that shows it', () => {
  const image = { id: 1, type: 'LoadImage' }
  const graph = { getLink: (id) => ({ 7: { origin_id: 1, origin_slot: 0 } })[id] }
  Object.assign(graph, { getNodeById: () => image })
  const subgraph = { rootGraph: graph }
  const host = {
    graph,
    subgraph,
    inputs: [{ name: 'image', link: 7 }],
    isInputConnected: () => true,
    // As the frontend does, which counts the outputs.
    getInputLink: () => assert.fail('asked for the link of an output')
  }
  graph.nodes = [host]
  const inner = {
    graph: subgraph,
    inputs: [{ name: 'image' }],
    getInputLink: () => ({ origin_id: -10, origin_slot: 0 })
  }
  assert.equal(source(inner, 'image').node, image)
  host.inputs[0].link = null
  assert.equal(source(inner, 'image'), null)
})
