// Draws the stage on a 2D canvas. Reads a scene, changes nothing but the canvas.

import { isInside, patchSquare, sideAt, toView } from './geometry.js'

// Ten colours that stay apart on dark and light grounds, also for most colour-blind eyes.
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

export const colourOf = (index) => COLOURS[index % COLOURS.length]

const FONT = 'Inter, system-ui, -apple-system, "Segoe UI", sans-serif'
const INK = '#10141a'

/** The radius of a person's picture in view pixels: easy to hit, never larger than needed. */
export const tokenRadius = (view, patchSize) =>
  Math.min(Math.max(view.scale * patchSize * 0.8, 17), 24)

/**
 * Draws everything once.
 *
 * `scene` holds `view` (scale, left, top), `width`, `height`, `patchSize`, `background` (a canvas
 * or null), `targets` and `people`: `{place, point, label, colour, crop, number, ghost, ...}` in
 * drawing order; place is theirs in output pixels, point where they are shown.
 */
export function draw(context, scene) {
  const { canvas } = context
  context.setTransform(1, 0, 0, 1, 0, 0)
  context.clearRect(0, 0, canvas.width, canvas.height)
  context.setTransform(scene.density, 0, 0, scene.density, 0, 0)
  context.globalAlpha = 1
  drawPicture(context, scene)
  for (const target of scene.targets) drawTarget(context, toView(scene.view, target), scene)
  for (const person of scene.people) drawPerson(context, scene, person)
  for (const person of scene.people) {
    if (person.label) drawLabel(context, scene, person)
  }
}

function drawPicture(context, { view, width, height, background }) {
  const [w, h] = [width * view.scale, height * view.scale]
  if (background) {
    context.drawImage(background, view.left, view.top, w, h)
  } else {
    drawGrid(context, view, width, height)
  }
  context.strokeStyle = 'rgba(128, 128, 128, 0.65)'
  context.lineWidth = 1
  context.strokeRect(view.left - 0.5, view.top - 0.5, w + 1, h + 1)
}

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

function drawTarget(context, { x, y }, { reached }) {
  const near = reached && Math.abs(reached.x - x) < 0.5 && Math.abs(reached.y - y) < 0.5
  for (const [style, line] of [
    ['rgba(0, 0, 0, 0.6)', 3.5],
    ['#ffffff', 1.5]
  ]) {
    context.strokeStyle = style
    context.lineWidth = line
    context.beginPath()
    context.arc(x, y, near ? 8 : 5, 0, 2 * Math.PI)
    context.moveTo(x - 2.5, y)
    context.lineTo(x + 2.5, y)
    context.moveTo(x, y - 2.5)
    context.lineTo(x, y + 2.5)
    context.stroke()
  }
}

function drawPerson(context, scene, person) {
  const { point, place, colour, crop, number, ghost, selected, marked, alarm } = person
  const { view, patchSize, width, height } = scene
  const { x, y } = toView(view, point)
  const radius = tokenRadius(view, patchSize)
  const inside = isInside(place, width, height)
  context.save()
  if (ghost) context.globalAlpha = 0.9

  if (inside) drawPatch(context, scene, point, colour, alarm)

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
    text(context, String(number), x, y + 0.5, `600 ${Math.round(radius * 0.95)}px ${FONT}`, INK)
  }

  context.beginPath()
  context.arc(x, y, radius, 0, 2 * Math.PI)
  if (ghost) context.setLineDash([4, 3])
  context.strokeStyle = colour
  context.lineWidth = 2.5
  context.stroke()
  context.setLineDash([])
  if (selected || marked) ring(context, x, y, radius + 3.5, marked ? [3, 3] : [])
  if (inside) outlinePatch(context, scene, point, colour)

  if (crop) badge(context, x + radius * 0.74, y + radius * 0.74, colour, String(number))
  if (!inside || alarm) {
    const side = x > scene.boxWidth / 2 ? -0.74 : 0.74 // away from the stage's edge
    badge(context, x + side * radius, y - radius * 0.74, '#ffb020', '!')
  }
  context.restore()
}

function ring(context, x, y, radius, dash) {
  for (const [style, line] of [
    ['rgba(0, 0, 0, 0.7)', 4],
    ['#ffffff', 2]
  ]) {
    context.setLineDash(dash)
    context.strokeStyle = style
    context.lineWidth = line
    context.beginPath()
    context.arc(x, y, radius, 0, 2 * Math.PI)
    context.stroke()
  }
  context.setLineDash([])
}

/** The patch as it is cut at the picture's edge, in view pixels. */
function patchRect({ view, width, height, patchSize, heads }, point) {
  const { x, y, size } = patchSquare(point, sideAt(point, patchSize, heads))
  const [x0, y0] = [Math.max(x, 0), Math.max(y, 0)]
  const [x1, y1] = [Math.min(x + size, width), Math.min(y + size, height)]
  const start = toView(view, { x: x0, y: y0 })
  return [start.x, start.y, (x1 - x0) * view.scale, (y1 - y0) * view.scale]
}

function drawPatch(context, scene, point, colour, alarm) {
  const rect = patchRect(scene, point)
  context.fillStyle = alarm ? 'rgba(255, 176, 32, 0.45)' : `${colour}40`
  context.fillRect(...rect)
}

/** The patch's extent, over the face so that it is seen where the patch is the smaller one. */
function outlinePatch(context, scene, point, colour) {
  const rect = patchRect(scene, point)
  for (const [style, line] of [
    ['rgba(0, 0, 0, 0.4)', 2.5],
    [colour, 1]
  ]) {
    context.strokeStyle = style
    context.lineWidth = line
    context.strokeRect(...rect)
  }
}

function badge(context, x, y, colour, label) {
  context.beginPath()
  context.arc(x, y, label.length > 1 ? 8.5 : 7.5, 0, 2 * Math.PI)
  context.fillStyle = colour
  context.fill()
  context.strokeStyle = INK
  context.lineWidth = 1.25
  context.stroke()
  text(context, label, x, y + 0.5, `700 10.5px ${FONT}`, INK)
}

function drawLabel(context, scene, { point, label, colour }) {
  const { x, y } = toView(scene.view, point)
  const radius = tokenRadius(scene.view, scene.patchSize)
  context.font = `500 11px ${FONT}`
  const width = Math.min(context.measureText(label).width + 14, scene.boxWidth - 4)
  const left = Math.min(Math.max(x - width / 2, 2), scene.boxWidth - width - 2)
  const below = y + radius + 7
  const top = below + 18 <= scene.boxHeight ? below : y - radius - 25
  context.beginPath()
  context.roundRect(left, top, width, 18, 9)
  context.fillStyle = 'rgba(16, 20, 26, 0.92)'
  context.fill()
  context.strokeStyle = colour
  context.lineWidth = 1
  context.stroke()
  text(context, label, left + width / 2, top + 9.5, context.font, '#ffffff', width - 10)
}

function text(context, label, x, y, font, colour, longest) {
  context.font = font
  context.textAlign = 'center'
  context.textBaseline = 'middle'
  context.fillStyle = colour
  context.fillText(label, x, y, longest)
}
