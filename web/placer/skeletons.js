// Draws OpenPose skeletons as idpatch_core/skeleton.py does, in the style of the training data.

import { toStage } from './geometry.js'

/**
 * @import { Viewport } from './geometry.js'
 * @import { Point } from './layout.js'
 */

const RADIUS = 4 // pixels of the image
const STICK_WIDTH = 4 // half of it, in the middle
const STICK_OPACITY = 0.6

/** @type {[number, number][]} */
const LIMBS = [
  [1, 2],
  [1, 5],
  [2, 3],
  [3, 4],
  [5, 6],
  [6, 7],
  [1, 8],
  [8, 9],
  [9, 10],
  [1, 11],
  [11, 12],
  [12, 13],
  [1, 0],
  [0, 14],
  [14, 16],
  [0, 15],
  [15, 17]
]
const COLOURS = [
  '#ff0000',
  '#ff5500',
  '#ffaa00',
  '#ffff00',
  '#aaff00',
  '#55ff00',
  '#00ff00',
  '#00ff55',
  '#00ffaa',
  '#00ffff',
  '#00aaff',
  '#0055ff',
  '#0000ff',
  '#5500ff',
  '#aa00ff',
  '#ff00ff',
  '#ff00aa',
  '#ff0055'
]

/**
 * Draws skeletons whose joints are all visible.
 * @type {(context: CanvasRenderingContext2D, viewport: Viewport, skeletons: Point[][]) => void}
 */
export function drawSkeletons(context, viewport, skeletons) {
  const { scale } = viewport
  context.save()
  for (const joints of skeletons) {
    joints.forEach((joint, index) => {
      const { x, y } = toStage(viewport, joint)
      context.fillStyle = COLOURS[index]
      context.beginPath()
      context.arc(x, y, RADIUS * scale, 0, 2 * Math.PI)
      context.fill()
    })
  }
  context.globalAlpha = STICK_OPACITY
  for (const joints of skeletons) {
    LIMBS.forEach(([from, to], index) => {
      const [a, b] = [toStage(viewport, joints[from]), toStage(viewport, joints[to])]
      const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2]
      const [length, angle] = [Math.hypot(a.x - b.x, a.y - b.y), Math.atan2(a.y - b.y, a.x - b.x)]
      context.fillStyle = COLOURS[index]
      context.beginPath()
      context.ellipse(x, y, length / 2, STICK_WIDTH * scale, angle, 0, 2 * Math.PI)
      context.fill()
    })
  }
  context.restore()
}
