// Registers the pack's editors with ComfyUI's frontend; the only module here that acts on loading.

import { app } from '../../scripts/app.js'
import { addFaces, showsFaces } from './faces/faces.js'
import { addFindings, showsFindings } from './findings.js'
import { peopleWidget } from './people/node.js'
import { placementsWidget } from './placer/node.js'
import { colourSockets } from './sockets.js'
import { addWarnings, showsWarnings } from './warnings.js'

/**
 * The inputs whose widgets are editors: by node, the input and the type of its widget.
 * @type {Record<string, [input: string, widget: string]>}
 */
const EDITORS = {
  IDPatchPlacer: ['placements', 'IDPATCH_PLACEMENTS'],
  IDPatchPeople: ['people', 'IDPATCH_PEOPLE']
}

function loadStyles() {
  const link = document.createElement('link')
  link.rel = 'stylesheet'
  link.href = new URL('./idpatch.css', import.meta.url).href
  document.head.append(link)
}

app.registerExtension({
  name: 'IDPatch.Editors',
  init: loadStyles,
  setup: () => colourSockets(app),
  getCustomWidgets: () => ({
    IDPATCH_PLACEMENTS: placementsWidget,
    IDPATCH_PEOPLE: peopleWidget
  }),
  nodeCreated(node) {
    if (showsFaces(node)) addFaces(node)
    if (showsWarnings(node)) addWarnings(node)
    if (showsFindings(node)) addFindings(node)
  },
  beforeRegisterNodeDef(_nodeType, nodeData) {
    const [name, widgetType] = EDITORS[nodeData.name] ?? []
    if (!name) return
    // The input stays a STRING for the API and without this script; only its widget is ours.
    const { required = {}, optional = {} } = nodeData.input
    const input = required[name] ?? optional[name]
    if (input) input[1] = { ...input[1], widgetType }
  }
})
