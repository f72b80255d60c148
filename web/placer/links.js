// Follows links: what feeds an input, through reroutes, bypassed nodes and subgraphs. Pure functions
// of the graph; they change nothing.

/**
 * @typedef {{node: ComfyNode, slot: number, widget?: undefined}} Output
 * @typedef {{widget: ComfyWidget, node?: undefined}} HostWidget
 *   the widget of a subgraph's node, in place of an output
 */

const SUBGRAPH_INPUT = -10 // the origin of links that come from outside a subgraph
const MUTED = 2
const BYPASSED = 4
export const MOST_LINKS = 50 // a longer way is a circle
const CONTROL_WIDGETS = ['control_after_generate', 'control_filter_list']

/**
 * The nodes that show a subgraph.
 * @param {ComfyGraph} subgraph
 */
export function hosts(subgraph) {
  const root = subgraph.rootGraph
  const graphs = [root, ...(root?.subgraphs?.values() ?? [])]
  return graphs.flatMap((graph) => graph?.nodes ?? []).filter((node) => node.subgraph === subgraph)
}

/** @type {(node: ComfyNode | undefined, name: string) => number} */
const slotOf = (node, name) => node?.inputs?.findIndex((input) => input.name === name) ?? -1

/**
 * What feeds an input, or null where nothing is connected.
 * @type {(node: ComfyNode, name: string) => Output | HostWidget | null}
 */
export function source(node, name) {
  const slot = slotOf(node, name)
  return slot < 0 ? null : sourceOfSlot(node, slot)
}

/**
 * The link into an input. A subgraph's node answers `getInputLink` with the link to its output of
 * that number, inside it, and throws where it has none.
 * @type {(node: ComfyNode, slot: number) => ComfyLink | null | undefined}
 */
function linkInto(node, slot) {
  if (!node.subgraph) return node.getInputLink(slot)
  const link = node.inputs?.[slot]?.link
  return link == null ? null : node.graph?.getLink(link)
}

/** @type {(node: ComfyNode, slot: number, left?: number) => Output | HostWidget | null} */
function sourceOfSlot(node, slot, left = MOST_LINKS) {
  const link = left > 0 ? linkInto(node, slot) : null
  return link && node.graph ? origin(node.graph, link, left - 1) : null
}

/** @type {(graph: ComfyGraph, link: ComfyLink, left: number) => Output | HostWidget | null} */
function origin(graph, link, left) {
  if (Number(link.origin_id) === SUBGRAPH_INPUT) {
    const [host] = hosts(graph)
    const input = host?.inputs?.[link.origin_slot]
    if (!input) return null
    if (host.isInputConnected(link.origin_slot)) return sourceOfSlot(host, link.origin_slot, left)
    const widget = findWidget(host, input.widget?.name ?? input.name)
    return widget ? { widget } : null
  }
  const node = graph.getNodeById(link.origin_id)
  if (!node || node.mode === MUTED || left <= 0) return null
  if (node.mode === BYPASSED) {
    const type = node.outputs?.[link.origin_slot]?.type
    const through = node.inputs?.findIndex((input) => input.type === type) ?? -1
    return through < 0 ? null : sourceOfSlot(node, through, left - 1)
  }
  if (node.subgraph) {
    const inner = node.subgraph.outputs?.[link.origin_slot]?.linkIds?.[0]
    const innerLink = inner === undefined ? null : node.subgraph.getLink(inner)
    return innerLink ? origin(node.subgraph, innerLink, left - 1) : null
  }
  if (node.type === 'Reroute') return sourceOfSlot(node, 0, left - 1)
  return { node, slot: link.origin_slot }
}

/**
 * The name under which a node's input is an input of the subgraph that it is in, or null.
 * @type {(node: ComfyNode, name: string) => string | null}
 */
export function promotingInput(node, name) {
  const slot = slotOf(node, name)
  const link = slot < 0 ? null : linkInto(node, slot)
  if (!link || Number(link.origin_id) !== SUBGRAPH_INPUT) return null
  return node.graph?.inputs?.[link.origin_slot]?.name ?? null
}

/** @type {(node: ComfyNode, name: string) => boolean} */
export const isConnected = (node, name) => {
  const slot = slotOf(node, name)
  return slot >= 0 && node.isInputConnected(slot)
}

/** @type {(node: ComfyNode | undefined, name: string) => ComfyWidget | undefined} */
export const findWidget = (node, name) => node?.widgets?.find((widget) => widget.name === name)

/**
 * The number that an input gets: its widget's, or that of a connected primitive; null if unknown.
 * @type {(node: ComfyNode, name: string) => number | null}
 */
export function numberOf(node, name) {
  if (!isConnected(node, name)) return asNumber(findWidget(node, name))
  const from = source(node, name)
  if (!from) return null
  if (from.widget) return asNumber(from.widget)
  const { widgets = [], inputs = [], outputs = [] } = from.node
  // A node that computes from other nodes' values is not a plain number.
  if (inputs.some((_, index) => from.node.isInputConnected(index))) return null
  const numbers = widgets.filter(({ value }) => typeof value === 'number')
  const named = numbers.find((widget) => widget.name === outputs[from.slot]?.name)
  if (named) return asNumber(named)
  const plain = numbers.find((widget) => widget.name === 'value') ?? numbers[0]
  // The widget that changes the number after a run: linked, under a name of the frontend's choice.
  const control = widgets.filter(
    (widget) => CONTROL_WIDGETS.includes(widget.name) || plain?.linkedWidgets?.includes(widget)
  )
  const others = widgets.filter((widget) => widget !== plain && !control.includes(widget))
  return others.length ? null : asNumber(plain)
}

/** @param {ComfyWidget | undefined} widget */
const asNumber = (widget) => {
  const value = Number(widget?.value)
  return widget && widget.value !== '' && Number.isFinite(value) && value > 0 ? value : null
}
