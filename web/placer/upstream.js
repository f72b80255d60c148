// Reads from the graph what a node is going to receive, as far as that is known before a run:
// through reroutes, bypassed nodes and subgraphs. Changes nothing.

const SUBGRAPH_INPUT = -10 // the origin of links that come from outside a subgraph
const MUTED = 2
const BYPASSED = 4
const FAR = 50 // links; a longer way is a circle

/** How ComfyUI names a node in its stored outputs. */
export function locator(node) {
  const { graph } = node
  const root = graph?.rootGraph ?? graph
  return !graph || graph === root ? String(node.id) : `${graph.id}:${node.id}`
}

/** The nodes that show a subgraph. */
export function hosts(subgraph) {
  const root = subgraph.rootGraph
  const graphs = [root, ...(root?.subgraphs?.values() ?? [])]
  return graphs.flatMap((graph) => graph?.nodes ?? []).filter((node) => node.subgraph === subgraph)
}

/**
 * What feeds an input: `{node, slot}` for an output, `{widget}` for the widget of a subgraph's
 * node that stands in for it, or null where nothing is connected.
 */
export function source(node, name) {
  const slot = node?.inputs?.findIndex((input) => input.name === name) ?? -1
  return slot < 0 ? null : sourceOfSlot(node, slot)
}

function sourceOfSlot(node, slot, left = FAR) {
  const link = left > 0 ? node.getInputLink(slot) : null
  return link ? origin(node.graph, link, left - 1) : null
}

function origin(graph, link, left) {
  if (Number(link.origin_id) === SUBGRAPH_INPUT) {
    const [host] = hosts(graph)
    const input = host?.inputs[link.origin_slot]
    if (!input) return null
    if (host.isInputConnected(link.origin_slot)) return sourceOfSlot(host, link.origin_slot, left)
    const widget = host.widgets?.find(({ name }) => name === (input.widget?.name ?? input.name))
    return widget ? { widget } : null
  }
  const node = graph.getNodeById(link.origin_id)
  if (!node || node.mode === MUTED || left <= 0) return null
  if (node.mode === BYPASSED) {
    const { type } = node.outputs[link.origin_slot] ?? {}
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

/** The name under which a node's input is an input of the subgraph that it is in, or null. */
export function promotingInput(node, name) {
  const slot = node?.inputs?.findIndex((input) => input.name === name) ?? -1
  const link = slot < 0 ? null : node.getInputLink(slot)
  if (!link || Number(link.origin_id) !== SUBGRAPH_INPUT) return null
  return node.graph.inputs?.[link.origin_slot]?.name ?? null
}

export const isConnected = (node, name) => {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1
  return slot >= 0 && node.isInputConnected(slot)
}

/** The number that an input gets: its widget's, or that of a connected primitive; null unknown. */
export function numberOf(node, name) {
  if (!isConnected(node, name)) return asNumber(node.widgets?.find((one) => one.name === name))
  const from = source(node, name)
  if (!from) return null
  if (from.widget) return asNumber(from.widget)
  const { widgets = [], inputs = [], outputs = [] } = from.node
  // A node that computes from other nodes' values is not a plain number.
  if (inputs.some((_, index) => from.node.isInputConnected(index))) return null
  const numbers = widgets.filter(({ value }) => typeof value === 'number')
  const named = numbers.find((one) => one.name === outputs[from.slot]?.name)
  if (named) return asNumber(named)
  const plain = numbers.find((one) => one.name === 'value') ?? numbers[0]
  const control = ['control_after_generate', 'control_filter_list']
  const others = widgets.filter((one) => one !== plain && !control.includes(one.name))
  return others.length ? null : asNumber(plain)
}

const asNumber = (widget) => {
  const value = Number(widget?.value)
  return widget && widget.value !== '' && Number.isFinite(value) && value > 0 ? value : null
}

/** Where ComfyUI serves a stored file. */
export function viewUrl(api, { filename, subfolder = '', type = 'output' }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)
}

/** The picture that an input shows now: a loaded file's, or what its node made in the last run. */
export function pictureOf(node, name, { api, outputs }) {
  const from = source(node, name)?.node
  if (!from) return null
  const file = from.widgets?.find((widget) => widget.name === 'image')?.value
  if (/^LoadImage/.test(from.comfyClass ?? from.type) && typeof file === 'string' && file) {
    const [, path, type = 'input'] = /^(.*?)(?: \[(input|output|temp)\])?$/s.exec(file)
    const [filename, ...folders] = path.split('/').reverse()
    return viewUrl(api, { filename, subfolder: folders.reverse().join('/'), type })
  }
  const [image] = outputs(from)?.images ?? []
  return image?.filename ? viewUrl(api, image) : null
}

/**
 * Who comes in through an input of identities or patches: a list of `{name, crop}`, or null where
 * that is only known after a run. `outputs(node)` is what a node showed in its last run.
 */
export function peopleOf(node, name, context, left = FAR) {
  const from = source(node, name)?.node
  if (!from || left <= 0) return null
  const added = ADDED[from.comfyClass ?? from.type]
  if (!added) {
    const through = from.inputs?.find(({ type }) => type === 'IDPATCH_IDENTITIES')
    return through ? peopleOf(from, through.name, context, left - 1) : null
  }
  const before = isConnected(from, 'identities')
    ? peopleOf(from, 'identities', context, left - 1)
    : []
  const own = added(from, context)
  return before && own ? [...before, ...own] : null
}

const widgetValue = (node, name) => node.widgets?.find((widget) => widget.name === name)?.value

function facesShown(node, { api, outputs }) {
  const [report] = outputs(node)?.idpatch_faces ?? []
  return report?.faces?.map(({ name, crop }) => ({ name, crop: crop ? viewUrl(api, crop) : null }))
}

/** Whom the nodes add that make or load people. */
const ADDED = {
  IDPatchFaceEncoder(node, context) {
    const names = String(widgetValue(node, 'name') ?? '').split(',')
    const named = ({ crop = null, name = null }, index) => ({
      name: names[index]?.trim() || name,
      crop
    })
    const shown = facesShown(node, context)
    const oneOfEach = ['largest', 'index'].includes(widgetValue(node, 'face'))
    // Several pictures of one person show as many faces.
    if (oneOfEach && widgetValue(node, 'people') === 'one person')
      return [shown?.[0] ?? {}].map(named)
    if (shown) return shown.map(named)
    const loads = /^LoadImage/.test(source(node, 'image')?.node?.type ?? '')
    return oneOfEach && loads ? [{}].map(named) : null
  },
  IDPatchLoadIdentities: (node, context) => facesShown(node, context) ?? null
}
