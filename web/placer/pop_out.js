// Shows the editor at full size, above the page, and puts it back.

import { make } from '../dom.js'

export class PopOut {
  /**
   * @param {HTMLElement} element  the editor
   * @param {() => void} changed  called when it was opened or closed
   */
  constructor(element, changed) {
    this.element = element
    this.changed = changed
    /** @type {HTMLDialogElement | null} */
    this.dialog = null
    this.placeholder = make('div', 'idpatch-placeholder', {}, 'The editor is open at full size.')
  }

  get isOpen() {
    return this.dialog !== null
  }

  toggle() {
    if (this.dialog) this.close()
    else this.open()
  }

  open() {
    const { element, placeholder } = this
    if (this.dialog || !element.isConnected) return
    element.replaceWith(placeholder)
    const attributes = { 'aria-label': 'Patch Placer', tabindex: '-1' }
    const dialog = make('dialog', 'idpatch-popout', attributes, element)
    dialog.addEventListener('close', () => this.close())
    dialog.addEventListener('pointerdown', ({ target }) => {
      if (target === dialog) this.close() // beside the editor
    })
    // Keys are for the editor here, but for undo and redo, which act on the whole graph.
    dialog.addEventListener('keydown', (event) => {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation()
      if (event.key === 'Escape') this.close()
    })
    document.body.append(dialog)
    this.dialog = dialog
    dialog.showModal()
    this.changed()
  }

  /** Takes the focus from the parts of an open editor. */
  focus() {
    this.dialog?.focus()
  }

  close() {
    const { dialog, element, placeholder } = this
    if (!dialog) return
    this.dialog = null
    if (placeholder.isConnected) placeholder.replaceWith(element)
    dialog.remove()
    this.changed()
  }
}
