// The menu of the image sizes that SDXL was trained with.

import { make } from '../dom.js'

/** @import { Size } from './geometry.js' */

// About a megapixel each, from the SDXL paper (table of aspect ratios), without the extreme ones.
/** @type {[number, number][]} */
export const SDXL_SIZES = [
  [1024, 1024],
  [1152, 896],
  [1216, 832],
  [1344, 768],
  [1536, 640],
  [896, 1152],
  [832, 1216],
  [768, 1344],
  [640, 1536]
]

/** @type {(width: number, height: number) => string} */
const write = (width, height) => `${width}×${height}`

export class SizeMenu {
  /** @param {(size: Size) => void} choose */
  constructor(choose) {
    const attributes = { 'aria-label': 'Image size', title: 'Sizes that SDXL was trained with' }
    this.menu = make('select', 'idpatch-menu', attributes)
    this.menu.addEventListener('change', () => {
      const [width, height] = this.menu.value.split('×').map(Number)
      choose({ width, height })
    })
    const label = make('span', 'idpatch-label', { 'aria-hidden': 'true' }, 'Size')
    this.element = make('div', 'idpatch-settings', {}, label, this.menu)
  }

  /** @type {(size: Size, shown: boolean, editable: boolean) => void} */
  update({ width, height }, shown, editable) {
    this.element.hidden = !shown
    this.menu.disabled = !editable
    const current = write(width, height)
    const sizes = SDXL_SIZES.map(([w, h]) => write(w, h))
    const all = sizes.includes(current) ? sizes : [current, ...sizes]
    if (this.menu.dataset.key !== all.join()) {
      this.menu.dataset.key = all.join()
      this.menu.replaceChildren(...all.map((value) => make('option', '', { value }, value)))
    }
    this.menu.value = current
  }
}
