// Small line drawings, 16 by 16, in the colour of the text around them.

/** @type {(x: number, y: number) => string} */
const dot = (x, y) => `M${x} ${y}a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 1 0 0-3.6`

/** @type {Record<string, string>} */
const PATHS = {
  undo: 'M6 3 2.5 6.5 6 10 M3 6.5h6a4 4 0 0 1 0 8H6',
  redo: 'M10 3l3.5 3.5L10 10 M13 6.5H7a4 4 0 0 0 0 8h3',
  row: `${dot(3, 6.2)} ${dot(8, 6.2)} ${dot(13, 6.2)}`,
  two_rows: `${dot(4.5, 2.4)} ${dot(11.5, 2.4)} ${dot(4.5, 10)} ${dot(11.5, 10)}`,
  arc: `${dot(2.8, 9.2)} ${dot(8, 3.4)} ${dot(13.2, 9.2)}`,
  left_to_right:
    'M2.5 12.5h11 M11 10l2.5 2.5L11 15 M3.2 3.6 4.6 2.5v5 ' +
    'M11.2 3.2c.6-1 2.4-.9 2.4.4 0 1.2-1.6 1.9-2.4 3.5h2.6 M7 5h2',
  swap: 'M3 5.5h10 M10.5 3 13 5.5 10.5 8 M13 11H3 M5.5 8.5 3 11l2.5 2.5',
  snap:
    'M3 2v6a5 5 0 0 0 10 0V2 M6.2 2v6a1.8 1.8 0 0 0 3.6 0V2 ' +
    'M3 4.8h3.2 M9.8 4.8H13 M3 2h3.2 M9.8 2H13',
  same_height: `M1.5 8h13 ${dot(4.5, 6.2)} ${dot(11.5, 6.2)}`,
  even_spacing: 'M2.5 3v10 M13.5 3v10 M8 5v6 M4.5 8h1.8 M9.7 8h1.8',
  smaller: 'M4 8h8',
  larger: 'M4 8h8 M8 4v8',
  mirror: 'M8 2v12 M6 5 2.5 12H6z M10 5l3.5 7H10z',
  off: 'M1.8 8S4 3.6 8 3.6 14.2 8 14.2 8 12 12.4 8 12.4 1.8 8 1.8 8z M3 13.5 13 2.5',
  reset: 'M13.2 8a5.2 5.2 0 1 1-1.7-3.9 M13.5 1.8v3h-3',
  text:
    'M6 2.5C3.8 2.5 5 7 2.8 8 5 9 3.8 13.5 6 13.5 ' +
    'M10 2.5c2.2 0 1 4.5 3.2 5.5-2.2 1-1 5.5-3.2 5.5',
  pop_out: 'M9.5 2.5h4v4 M13.5 2.5 8.5 7.5 M6.5 13.5h-4v-4 M2.5 13.5l5-5',
  error: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z M8 4.8v4 M8 11v.3',
  warning: 'M8 2 1.6 13.6h12.8z M8 6.3v3.6 M8 11.6v.3',
  info: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z M8 7.3v4 M8 4.7v.3'
}

const SVG = 'http://www.w3.org/2000/svg'

/** @param {string} name */
export function icon(name) {
  const drawing = document.createElementNS(SVG, 'svg')
  drawing.setAttribute('viewBox', '0 0 16 16')
  drawing.setAttribute('class', 'idpatch-icon')
  drawing.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS(SVG, 'path')
  path.setAttribute('d', PATHS[name])
  drawing.append(path)
  return drawing
}
