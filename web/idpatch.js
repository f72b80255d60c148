// Registers the pack's editors with ComfyUI's frontend; the only module here that acts on loading.

import { app } from '../../scripts/app.js'
import { addFaces, showsFaces } from './faces/faces.js'
import { placementsWidget } from './placer/node.js'
import { colourSockets } from './sockets.js'
import { addWarnings, showsWarnings } from './warnings.js'

const WIDGET = 'IDPATCH_PLACEMENTS'

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
  getCustomWidgets: () => ({ [WIDGET]: placementsWidget }),
  nodeCreated(node) {
    if (showsFaces(node)) addFaces(node)
    if (showsWarnings(node)) addWarnings(node)
  },
  beforeRegisterNodeDef(_nodeType, nodeData) {
    if (nodeData.name !== 'IDPatchPlacer') return
    // The input stays a STRING for the API and without this script; only its widget is ours.
    const { required = {}, optional = {} } = nodeData.input
    const placements = required.placements ?? optional.placements
    if (placements) placements[1] = { ...placements[1], widgetType: WIDGET }
  }
})
