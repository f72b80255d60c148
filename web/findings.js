// Shows the check of the images on its nodes: each person's verdict, the image that was chosen, the
// tries at it, and the files of the report.

import { viewUrl } from './comfy.js'
import { make } from './dom.js'
import { showOutputs } from './outputs.js'
import { makeWarnings } from './warnings.js'

/** @typedef {VerdictReport['images'][number]['people'][number]} Finding */

/** @type {(file: StoredFile | null, text: string) => HTMLElement} */
const makeCrop = (file, text) =>
  file
    ? make('img', 'idpatch-crop', { src: viewUrl(file), alt: text, title: text })
    : make('div', 'idpatch-crop', { title: text }, '?')

/** @param {Finding} finding */
function makeFinding({ name, similarity, correct, verdict, reference, face }) {
  const mark = verdict === 'no placement' ? '–' : correct ? '✓' : '✗'
  const crops = make(
    'div',
    'idpatch-pair',
    {},
    makeCrop(reference, `Photo of ${name}`),
    makeCrop(face, face ? `Face found for ${name}` : `No face was found for ${name}`)
  )
  const score = similarity === null ? '' : similarity.toFixed(2)
  const caption = make(
    'div',
    'idpatch-caption',
    { title: name },
    make('span', correct ? 'idpatch-correct' : 'idpatch-error', {}, mark),
    ` ${name} ${score}`
  )
  const kind = correct ? 'hint' : 'error'
  const words = make('div', `idpatch-caption idpatch-${kind}`, { title: verdict }, verdict)
  const parts = correct ? [crops, caption] : [crops, caption, words]
  return make('div', 'idpatch-card idpatch-finding', { role: 'listitem' }, ...parts)
}

/** @type {(people: Finding[], label: string) => HTMLElement} */
function makeSummary(people, label) {
  const placed = people.filter(({ verdict }) => verdict !== 'no placement')
  const right = placed.filter(({ correct }) => correct).length
  return make('div', '', {}, `${label}: ${right} of ${placed.length} at their placement`)
}

/** @param {NodeOutput} output */
function makeVerdicts({ idpatch_verdicts: reports = [], idpatch_warnings: warnings }) {
  const [report] = reports
  if (!report) return []
  const items = report.images.flatMap(({ people }, index) => {
    const label = report.images.length > 1 ? `Image ${index + 1}` : 'Image'
    const attributes = { role: 'list', 'aria-label': label }
    const cards = make('div', 'idpatch-cards idpatch-findings', attributes)
    cards.append(...people.map(makeFinding))
    return [makeSummary(people, label), cards]
  })
  items.push(make('div', 'idpatch-hint', {}, `Similarity by ${report.scorer}`))
  return [...items, ...makeWarnings(warnings)]
}

/** @param {NodeOutput} output */
function makeChoice({ idpatch_best: [best] = [] }) {
  if (!best) return []
  const { index, reasons } = best
  const text = `Image ${index + 1} of ${reasons.length} was kept: its least similar person scores highest.`
  const items = reasons.map((reason, nth) =>
    make('div', nth === index ? 'idpatch-correct' : 'idpatch-hint', { role: 'listitem' }, reason)
  )
  return [make('div', '', {}, text), make('div', '', { role: 'list' }, ...items)]
}

/** @param {NodeOutput} output */
function makeTries({ idpatch_tries: images = [], idpatch_warnings: warnings }) {
  const items = images.flatMap(({ outcome, tries, best }, index) => {
    const title = images.length > 1 ? `Output ${index + 1}: ${outcome}` : outcome
    const lines = tries.map((line, nth) =>
      make('div', nth === best ? 'idpatch-correct' : 'idpatch-hint', { role: 'listitem' }, line)
    )
    return [make('div', '', {}, title), make('div', '', { role: 'list' }, ...lines)]
  })
  return [...items, ...makeWarnings(warnings)]
}

/** @param {NodeOutput} output */
function makeLinks({ idpatch_report: files = [] }) {
  return files.map((file) => {
    const path = [file.subfolder, file.filename].filter(Boolean).join('/')
    const attributes = { href: viewUrl(file), target: '_blank', rel: 'noopener' }
    return make('div', '', {}, 'Saved ', make('a', 'idpatch-link', attributes, path))
  })
}

/** @type {Record<string, (output: NodeOutput) => HTMLElement[]>} */
const SHOWN = {
  IDPatchVerify: makeVerdicts,
  IDPatchPickBest: makeChoice,
  IDPatchUntilRight: makeTries,
  IDPatchSaveReport: makeLinks
}

/** @param {ComfyNode} node */
export const showsFindings = ({ comfyClass = '' }) => comfyClass in SHOWN

/** @param {ComfyNode} node */
export const addFindings = (node) => showOutputs(node, 'findings', SHOWN[node.comfyClass ?? ''])
