// The skeletons as images of their own, one for each group of people who touch, drawn anew only
// when they change: a person who is dragged costs no more than that group.

import { drawSkeletons, groupTouching } from './skeletons.js'

/**
 * @import { Joints } from './bodies.js'
 *
 * @typedef {object} Layer  a part of the image, transparent around the skeletons
 * @property {HTMLCanvasElement} canvas
 * @property {number} left
 * @property {number} top
 */

export class SkeletonLayers {
  constructor() {
    /** @type {Map<string, Layer>} of each group */
    this.layers = new Map()
  }

  /**
   * The layers of these people in an image of a size.
   * @type {(people: Joints[], width: number, height: number) => Layer[]}
   */
  draw(people, width, height) {
    const before = this.layers
    this.layers = new Map()
    for (const group of groupTouching(people, width, height)) {
      const key = JSON.stringify([group, width, height])
      const layer = before.get(key) ?? drawLayer(group, width, height)
      if (layer) this.layers.set(key, layer)
    }
    return [...this.layers.values()]
  }

  clear() {
    this.layers.clear()
  }
}

/** @type {(people: Joints[], width: number, height: number) => Layer | null} */
function drawLayer(people, width, height) {
  const pixels = drawSkeletons(people, width, height)
  if (!pixels) return null
  const canvas = document.createElement('canvas')
  canvas.width = pixels.width
  canvas.height = pixels.height
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
  context.putImageData(new ImageData(pixels.data, pixels.width, pixels.height), 0, 0)
  return { canvas, left: pixels.left, top: pixels.top }
}
