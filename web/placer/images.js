// The images of the stage: loaded by URL, the background scaled once and not in every frame.

/** @import { Size } from './geometry.js' */

export class Images {
  /** @param {(url: string) => void} loaded  called when an image can be drawn */
  constructor(loaded) {
    this.loaded = loaded
    /** @type {Map<string, {image: HTMLImageElement, ready: boolean}>} */
    this.entries = new Map()
    /** @type {{image: HTMLImageElement, canvas: HTMLCanvasElement} | null} */
    this.latestScaled = null
  }

  /**
   * Loads these images and lets the others go.
   * @param {string[]} urls
   */
  load(urls) {
    const needed = new Set(urls)
    for (const [url, { image }] of this.entries) {
      if (needed.has(url)) continue
      image.onload = null
      this.entries.delete(url)
    }
    for (const url of needed) {
      if (this.entries.has(url)) continue
      const entry = { image: new Image(), ready: false }
      this.entries.set(url, entry)
      entry.image.onload = () => {
        entry.ready = true
        this.loaded(url)
      }
      entry.image.src = url
    }
  }

  clear() {
    this.load([])
    this.latestScaled = null
  }

  /**
   * The image if it is loaded.
   * @param {string | null | undefined} url
   */
  get(url) {
    const entry = url ? this.entries.get(url) : null
    return entry?.ready ? entry.image : null
  }

  /**
   * The image's size if it is loaded.
   * @type {(url: string | null) => Size | null}
   */
  sizeOf(url) {
    const image = this.get(url)
    return image && { width: image.naturalWidth, height: image.naturalHeight }
  }

  /**
   * The image, if it is loaded, at this size in pixels; the latest one is kept.
   * @type {(url: string | null, width: number, height: number) => HTMLCanvasElement | null}
   */
  scaled(url, width, height) {
    const image = this.get(url)
    if (!image) return null
    const { latestScaled } = this
    if (latestScaled?.image === image) {
      const { canvas } = latestScaled
      if (canvas.width === width && canvas.height === height) return canvas
    }
    const canvas = document.createElement('canvas')
    canvas.width = width
    canvas.height = height
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
    context.imageSmoothingQuality = 'high'
    context.drawImage(image, 0, 0, width, height)
    this.latestScaled = { image, canvas }
    return canvas
  }
}
