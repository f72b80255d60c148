// The skeletons as an image of their own, drawn anew only when they change.

import { drawSkeletons } from './skeletons.js'

/**
 * @import { Joints } from './bodies.js'
 *
 * @typedef {object} Layer  a part of the image, transparent around the skeletons
 * @property {HTMLCanvasElement} canvas
 * @property {number} left
 * @property {number} top
 */

export class SkeletonLayer {
  constructor() {
    /** @type {Layer | null} */
    this.layer = null
    this.key = ''
  }

  /**
   * The layer of these people in an image of a size; null without any.
   * @type {(people: Joints[], width: number, height: number) => Layer | null}
   */
  draw(people, width, height) {
    const key = JSON.stringify([people, width, height])
    if (key === this.key) return this.layer
    this.key = key
    const pixels = drawSkeletons(people, width, height)
    if (!pixels) {
      this.layer = null
      return null
    }
    const canvas = this.layer?.canvas ?? document.createElement('canvas')
    canvas.width = pixels.width
    canvas.height = pixels.height
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
    context.putImageData(new ImageData(pixels.data, pixels.width, pixels.height), 0, 0)
    this.layer = { canvas, left: pixels.left, top: pixels.top }
    return this.layer
  }

  clear() {
    this.layer = null
    this.key = ''
  }
}
