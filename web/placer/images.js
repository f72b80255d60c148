// The images of the stage: loaded by URL, the background scaled once and not in every frame.

/** @import { Size } from './geometry.js' */

// As in idpatch_core/pose_fit.py.
const DARK = 0.04 * 255 // brightness of a drawing's background
const DRAWING_DARK = 0.6 // a drawing of poses has at least this share of dark pixels
const SAMPLE = 128 // pixels of each side that are looked at

/**
 * Whether an image is no drawing of poses: not mostly black.
 * @param {HTMLImageElement} image
 */
function isPhoto(image) {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = SAMPLE
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
  context.imageSmoothingEnabled = false
  context.drawImage(image, 0, 0, SAMPLE, SAMPLE)
  const { data } = context.getImageData(0, 0, SAMPLE, SAMPLE)
  let dark = 0
  for (let at = 0; at < data.length; at += 4) {
    if (Math.max(data[at], data[at + 1], data[at + 2]) < DARK) dark += 1
  }
  return dark < DRAWING_DARK * SAMPLE * SAMPLE
}

export class Images {
  /** @param {(url: string) => void} loaded  called when an image can be drawn */
  constructor(loaded) {
    this.loaded = loaded
    /** @type {Map<string, {image: HTMLImageElement, ready: boolean, photo?: boolean}>} */
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
   * The image's size if it is loaded, and whether it is a photo: not mostly black.
   * @type {(url: string | null) => (Size & {photo: boolean}) | null}
   */
  describe(url) {
    const image = this.get(url)
    if (!image || !url) return null
    const entry = this.entries.get(url)
    if (entry) entry.photo ??= isPhoto(image)
    const { naturalWidth: width, naturalHeight: height } = image
    return { width, height, photo: Boolean(entry?.photo) }
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
