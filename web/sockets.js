// Colours that tell the pack's sockets and links apart, in both renderers.

import { make } from './dom.js'

/** By type; a palette that has a colour for a type comes first. */
const COLOURS = {
  IDPATCH_FACE_MODEL: '#26a69a',
  IDPATCH_IDENTITIES: '#f06292',
  IDPATCH_MODEL: '#7986cb',
  IDPATCH_PATCHES: '#aed581',
  IDPATCH_HINT: '#4dd0e1',
  IDPATCH_SCORER: '#bc8f6f',
  POSE_KEYPOINT: '#e6d15c'
}

/**
 * Gives a table of colours a default for a type. Palettes write an empty text for unknown types.
 * @type {(table: Record<string, string>, type: string, colour: string) => void}
 */
function setDefault(table, type, colour) {
  let own = table[type]
  Object.defineProperty(table, type, {
    configurable: true,
    enumerable: true,
    get: () => own || colour,
    set: (value) => {
      own = value
    }
  })
}

/** @param {ComfyApp} app */
export function colourSockets({ canvas }) {
  const tables = [
    globalThis.LGraphCanvas?.link_type_colors,
    canvas?.default_connection_color_byType
  ]
  for (const table of tables) {
    if (!table) continue
    for (const [type, colour] of Object.entries(COLOURS)) setDefault(table, type, colour)
  }
  // Nodes 2.0 takes the colours of sockets from the page's style; palettes write theirs inline.
  const rules = Object.entries(COLOURS).map(
    ([type, colour]) => `--color-datatype-${type}: ${colour};`
  )
  document.head.append(make('style', '', {}, `:root { ${rules.join(' ')} }`))
}
