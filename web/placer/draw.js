// Draws a view of the stage on a 2D canvas; changes nothing but the canvas.

import { toStage } from './geometry.js'
import { isInside, patchSide, patchSquare } from './layout.js'

/**
 * @import { Size, Viewport } from './geometry.js'
 * @import { Handle } from './handles.js'
 * @import { Lines } from './image_lines.js'
 * @import { Head, Point } from './layout.js'
 * @import { Layer } from './skeleton_layers.js'
 *
 * @typedef {CanvasRenderingContext2D} Context
 *
 * @typedef {object} View  everything that is drawn
 * @property {Viewport} viewport
 * @property {number} density  canvas pixels for each page pixel
 * @property {Size} box  of the stage, in page pixels before zooming
 * @property {number} width  of the image, in pixels
 * @property {number} height
 * @property {number} patchSize
 * @property {Head[]} heads
 * @property {CanvasImageSource | null} background
 * @property {HTMLImageElement | null} reference  shown under skeletons where no background is
 * @property {Layer[]} skeletons  on black where there is no background
 * @property {Handles | null} handles  of the selected person's body
 * @property {Point[]} targets
 * @property {Point[]} guides  points that the dragged person is in line with
 * @property {Lines} lines  of the image, through the dragged person
 * @property {Point | null} reached  where a dragged person is, on the stage
 * @property {PersonView[]} people  the last on top
 *
 * @typedef {object} Handles
 * @property {{left: number, top: number, right: number, bottom: number}} box  on the stage
 * @property {Handle[]} handles
 * @property {string} colour
 *
 * @typedef {object} PersonView
 * @property {number} index
 * @property {Point} point
 * @property {Point} shownAt  inside the stage, also for a point far outside the image
 * @property {string} colour
 * @property {CanvasImageSource | null} crop
 * @property {boolean} automatic  not placed by hand
 * @property {boolean} selected
 * @property {boolean} marked
 * @property {boolean} alarm  the patch overlaps another
 * @property {boolean} hasBody  below the face
 * @property {string | null} label
 */

// Ten colours, distinguishable on dark and light and with most kinds of colour blindness.
export const COLOURS = [
  '#4c9bff',
  '#ff9a3c',
  '#3dc98a',
  '#ff6b81',
  '#b78bff',
  '#f2cf3b',
  '#35c5d6',
  '#ff8ad1',
  '#c28e5c',
  '#a9b4c4'
]

/** @param {number} index */
export const colourOf = (index) => COLOURS[index % COLOURS.length]

const FONT = 'Inter, system-ui, -apple-system, "Segoe UI", sans-serif'
const INK = '#10141a'

/** @typedef {[style: string, width: number]} Stroke */

/** @type {Stroke[]} */
const TARGET_STROKES = [
  ['rgba(0, 0, 0, 0.6)', 3.5],
  ['#ffffff', 1.5]
]
/** @type {Stroke[]} */
const RING_STROKES = [
  ['rgba(0, 0, 0, 0.7)', 4],
  ['#ffffff', 2]
]

/**
 * The radius of a person's marker in page pixels: easy to hit, never larger than needed.
 * @type {(viewport: Viewport, patchSize: number) => number}
 */
export const markerRadius = (viewport, patchSize) =>
  Math.min(Math.max(viewport.scale * patchSize * 0.8, 17), 24)

/** @type {(context: Context, view: View) => void} */
export function draw(context, view) {
  const { canvas } = context
  context.setTransform(1, 0, 0, 1, 0, 0)
  context.clearRect(0, 0, canvas.width, canvas.height)
  context.setTransform(view.density, 0, 0, view.density, 0, 0)
  context.globalAlpha = 1
  drawBackground(context, view)
  if (view.handles) drawHandles(context, view.handles)
  drawGuides(context, view)
  for (const target of view.targets) drawTarget(context, toStage(view.viewport, target), view)
  for (const person of view.people) drawPerson(context, view, person)
  for (const { label, ...person } of view.people) {
    if (label) drawLabel(context, view, { ...person, label })
  }
}

const REFERENCE_OPACITY = 0.55

/** @type {(context: Context, view: View) => void} */
function drawBackground(context, view) {
  const { viewport, width, height, background, reference, skeletons } = view
  const [w, h] = [width * viewport.scale, height * viewport.scale]
  if (background) {
    context.drawImage(background, viewport.left, viewport.top, w, h)
  } else if (skeletons.length || reference) {
    context.fillStyle = '#000000'
    context.fillRect(viewport.left, viewport.top, w, h)
    if (reference) drawReference(context, view, reference)
  } else {
    drawGrid(context, viewport, width, height)
  }
  for (const layer of skeletons) drawLayer(context, viewport, layer)
  context.strokeStyle = 'rgba(128, 128, 128, 0.65)'
  context.lineWidth = 1
  context.strokeRect(viewport.left - 0.5, viewport.top - 0.5, w + 1, h + 1)
}

/**
 * Draws the reference image in the middle, in its own aspect ratio.
 * @type {(context: Context, view: View, reference: HTMLImageElement) => void}
 */
function drawReference(context, { viewport, width, height }, reference) {
  const { naturalWidth, naturalHeight } = reference
  const scale = Math.min(width / naturalWidth, height / naturalHeight) * viewport.scale
  const [w, h] = [naturalWidth * scale, naturalHeight * scale]
  const middle = toStage(viewport, { x: width / 2, y: height / 2 })
  context.globalAlpha = REFERENCE_OPACITY
  context.drawImage(reference, middle.x - w / 2, middle.y - h / 2, w, h)
  context.globalAlpha = 1
}

/** @type {(context: Context, viewport: Viewport, layer: Layer) => void} */
function drawLayer(context, viewport, { canvas, left, top }) {
  const { x, y } = toStage(viewport, { x: left, y: top })
  const { scale } = viewport
  context.save()
  context.imageSmoothingQuality = 'high'
  context.drawImage(canvas, x, y, canvas.width * scale, canvas.height * scale)
  context.restore()
}

/** @type {(context: Context, handles: Handles) => void} */
function drawHandles(context, { box, handles, colour }) {
  context.save()
  context.strokeStyle = colour
  context.lineWidth = 1
  context.setLineDash([4, 4])
  context.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top)
  context.setLineDash([])
  for (const { part, at } of handles) {
    context.beginPath()
    if (part === 'scale') context.rect(at.x - 5, at.y - 5, 10, 10)
    else context.arc(at.x, at.y, part === 'mirror' ? 6.5 : 3.5, 0, 2 * Math.PI)
    context.fillStyle = typeof part === 'number' ? '#ffffff' : colour
    context.fill()
    context.strokeStyle = INK
    context.lineWidth = 1.5
    context.stroke()
    if (part === 'mirror') fillText(context, '⇆', at.x, at.y + 0.5, `700 9px ${FONT}`, INK)
  }
  context.restore()
}

/**
 * @type {(context: Context, viewport: Viewport, width: number, height: number) => void}
 */
function drawGrid(context, { left, top, scale }, width, height) {
  const step = 64 * 2 ** Math.max(Math.ceil(Math.log2(14 / (64 * scale))), 0)
  context.fillStyle = 'rgba(128, 128, 128, 0.10)'
  context.fillRect(left, top, width * scale, height * scale)
  context.beginPath()
  for (let x = step; x < width; x += step) {
    context.moveTo(left + x * scale, top)
    context.lineTo(left + x * scale, top + height * scale)
  }
  for (let y = step; y < height; y += step) {
    context.moveTo(left, top + y * scale)
    context.lineTo(left + width * scale, top + y * scale)
  }
  context.strokeStyle = 'rgba(128, 128, 128, 0.22)'
  context.lineWidth = 1
  context.stroke()
}

/**
 * Draws lines from a dragged person to those in line with them, and the image's lines they are on.
 * @type {(context: Context, view: View) => void}
 */
function drawGuides(context, { guides, lines, reached, viewport, width, height }) {
  if (!reached) return
  context.save()
  context.strokeStyle = '#ff4fd8'
  context.lineWidth = 1
  context.beginPath()
  for (const guide of guides) {
    const { x, y } = toStage(viewport, guide)
    context.moveTo(x, y)
    context.lineTo(reached.x, reached.y)
  }
  const start = toStage(viewport, { x: 0, y: 0 })
  const end = toStage(viewport, { x: width, y: height })
  for (const _ of lines.x) {
    context.moveTo(reached.x, start.y)
    context.lineTo(reached.x, end.y)
  }
  for (const _ of lines.y) {
    context.moveTo(start.x, reached.y)
    context.lineTo(end.x, reached.y)
  }
  context.stroke()
  context.restore()
}

/** @type {(context: Context, at: Point, view: View) => void} */
function drawTarget(context, { x, y }, { reached }) {
  const near = reached && Math.abs(reached.x - x) < 0.5 && Math.abs(reached.y - y) < 0.5
  for (const [style, width] of TARGET_STROKES) {
    context.strokeStyle = style
    context.lineWidth = width
    context.beginPath()
    context.arc(x, y, near ? 8 : 5, 0, 2 * Math.PI)
    context.moveTo(x - 2.5, y)
    context.lineTo(x + 2.5, y)
    context.moveTo(x, y - 2.5)
    context.lineTo(x, y + 2.5)
    context.stroke()
  }
}

/** @type {(context: Context, view: View, person: PersonView) => void} */
function drawPerson(context, view, person) {
  const { index, point, shownAt, colour, crop, automatic, selected, marked, alarm } = person
  const number = String(index + 1)
  const { viewport, patchSize, width, height } = view
  const { x, y } = toStage(viewport, shownAt)
  const radius = markerRadius(viewport, patchSize)
  const inside = isInside(point, width, height)
  context.save()
  if (automatic) context.globalAlpha = 0.9

  if (inside) drawPatch(context, view, point, colour, alarm)

  context.shadowColor = 'rgba(0, 0, 0, 0.55)'
  context.shadowBlur = selected ? 10 : 5
  context.beginPath()
  context.arc(x, y, radius, 0, 2 * Math.PI)
  context.fillStyle = crop ? INK : colour
  context.fill()
  context.shadowColor = 'transparent'
  if (crop) {
    context.save()
    context.clip()
    context.drawImage(crop, x - radius, y - radius, 2 * radius, 2 * radius)
    context.restore()
  } else {
    fillText(context, number, x, y + 0.5, `600 ${Math.round(radius * 0.95)}px ${FONT}`, INK)
  }

  context.beginPath()
  context.arc(x, y, radius, 0, 2 * Math.PI)
  if (automatic) {
    // Dark below the dashes, so that the gaps are seen on any ground and on the person's colour.
    context.strokeStyle = INK
    context.lineWidth = 3.5
    context.stroke()
    context.setLineDash([5, 5])
  }
  context.strokeStyle = automatic && !crop ? '#ffffff' : colour
  context.lineWidth = 2.5
  context.stroke()
  context.setLineDash([])
  if (selected || marked) ring(context, x, y, radius + 3.5, marked ? [3, 3] : [])
  if (inside) outlinePatch(context, view, point, colour)

  if (crop) badge(context, x + radius * 0.74, y + radius * 0.74, colour, number)
  if (!inside || alarm) {
    const side = x > view.box.width / 2 ? -0.74 : 0.74 // away from the stage's edge
    badge(context, x + side * radius, y - radius * 0.74, '#ffb020', '!')
  }
  context.restore()
}

/** @type {(context: Context, x: number, y: number, radius: number, dash: number[]) => void} */
function ring(context, x, y, radius, dash) {
  for (const [style, width] of RING_STROKES) {
    context.setLineDash(dash)
    context.strokeStyle = style
    context.lineWidth = width
    context.beginPath()
    context.arc(x, y, radius, 0, 2 * Math.PI)
    context.stroke()
  }
  context.setLineDash([])
}

/**
 * The patch as it is cut at the image's edge, on the stage: left, top, width, height.
 * @type {(view: View, point: Point) => [number, number, number, number]}
 */
function patchRect({ viewport, width, height, patchSize, heads }, point) {
  const { x, y, size } = patchSquare(point, patchSide(point, patchSize, heads))
  const [x0, y0] = [Math.max(x, 0), Math.max(y, 0)]
  const [x1, y1] = [Math.min(x + size, width), Math.min(y + size, height)]
  const start = toStage(viewport, { x: x0, y: y0 })
  return [start.x, start.y, (x1 - x0) * viewport.scale, (y1 - y0) * viewport.scale]
}

/** @type {(context: Context, view: View, point: Point, colour: string, alarm: boolean) => void} */
function drawPatch(context, view, point, colour, alarm) {
  const rect = patchRect(view, point)
  context.fillStyle = alarm ? 'rgba(255, 176, 32, 0.45)' : `${colour}40`
  context.fillRect(...rect)
}

/**
 * Draws the patch's extent, over the face so that it is seen where the patch is smaller.
 * @type {(context: Context, view: View, point: Point, colour: string) => void}
 */
function outlinePatch(context, view, point, colour) {
  const rect = patchRect(view, point)
  /** @type {Stroke[]} */
  const strokes = [
    ['rgba(0, 0, 0, 0.4)', 2.5],
    [colour, 1]
  ]
  for (const [style, width] of strokes) {
    context.strokeStyle = style
    context.lineWidth = width
    context.strokeRect(...rect)
  }
}

/** @type {(context: Context, x: number, y: number, colour: string, label: string) => void} */
function badge(context, x, y, colour, label) {
  context.beginPath()
  context.arc(x, y, label.length > 1 ? 8.5 : 7.5, 0, 2 * Math.PI)
  context.fillStyle = colour
  context.fill()
  context.strokeStyle = INK
  context.lineWidth = 1.25
  context.stroke()
  fillText(context, label, x, y + 0.5, `700 10.5px ${FONT}`, INK)
}

/** @type {(context: Context, view: View, person: PersonView & {label: string}) => void} */
function drawLabel(context, view, { shownAt, label, colour, hasBody }) {
  const { x, y } = toStage(view.viewport, shownAt)
  const radius = markerRadius(view.viewport, view.patchSize)
  context.font = `500 11px ${FONT}`
  const width = Math.min(context.measureText(label).width + 14, view.box.width - 4)
  const left = Math.min(Math.max(x - width / 2, 2), view.box.width - width - 2)
  const [above, below] = [y - radius - 25, y + radius + 7]
  const fits = below + 18 <= view.box.height && !(hasBody && above >= 2)
  const top = fits ? below : above
  context.beginPath()
  context.roundRect(left, top, width, 18, 9)
  context.fillStyle = 'rgba(16, 20, 26, 0.92)'
  context.fill()
  context.strokeStyle = colour
  context.lineWidth = 1
  context.stroke()
  fillText(context, label, left + width / 2, top + 9.5, context.font, '#ffffff', width - 10)
}

/**
 * @type {(context: Context, label: string, x: number, y: number, font: string, colour: string,
 *   longest?: number) => void}
 */
function fillText(context, label, x, y, font, colour, longest) {
  context.font = font
  context.textAlign = 'center'
  context.textBaseline = 'middle'
  context.fillStyle = colour
  context.fillText(label, x, y, longest)
}
