// Shows the warnings of a node's last run on the node.

import { make } from './dom.js'
import { showOutputs } from './outputs.js'

const NODES = [
  'IDPatchBuilder',
  'IDPatchTokenInjector',
  'IDPatchSampler',
  'IDPatchLoadScorer',
  'IDPatchPhrases',
  'IDPatchRefine',
  'IDPatchResizeHint'
]

/** @param {ComfyNode} node */
export const showsWarnings = ({ comfyClass = '' }) => NODES.includes(comfyClass)

/** @param {string[]} [warnings] */
export const makeWarnings = (warnings = []) =>
  warnings.map((text) => make('div', 'idpatch-warning', {}, text))

/** @param {ComfyNode} node */
export const addWarnings = (node) =>
  showOutputs(node, 'warnings', ({ idpatch_warnings }) => makeWarnings(idpatch_warnings))
