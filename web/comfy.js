// How ComfyUI names nodes, keeps their outputs and serves files.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

/**
 * The name of a node in ComfyUI's stored outputs.
 * @param {ComfyNode} node
 */
export function locator(node) {
  const { graph } = node
  const root = graph?.rootGraph ?? graph
  return !graph || graph === root ? String(node.id) : `${graph.id}:${node.id}`
}

/**
 * The URL of a file that ComfyUI serves.
 * @param {StoredFile} file
 */
export function viewUrl({ filename, subfolder = '', type = 'output' }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)
}

/**
 * What a node showed in its last run.
 * @param {ComfyNode} node
 */
export const outputsOf = (node) => app.nodeOutputs?.[locator(node)]

/**
 * The URL of a file as Load Image names it: folders/name, and [output] or [temp] after it.
 * @param {string} file
 */
export function photoUrl(file) {
  const [, path = '', type = 'input'] = /^(.*?)(?: ?\[(input|output|temp)\])?$/s.exec(file) ?? []
  const [filename, ...folders] = path.split('/').reverse()
  return viewUrl({ filename, subfolder: folders.reverse().join('/'), type })
}
