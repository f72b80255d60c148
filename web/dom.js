// Makes and updates elements.

/**
 * Makes an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
export function make(tag, className = '', attributes = {}, ...children) {
  const element = document.createElement(tag)
  if (className) element.className = className
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/**
 * Replaces the children unless they are equal; returns whether it did.
 * @type {(parent: Element, children: Element[]) => boolean}
 */
export function replaceChildren(parent, children) {
  const same =
    parent.children.length === children.length &&
    children.every((child, index) => child.isEqualNode(parent.children[index]))
  if (!same) parent.replaceChildren(...children)
  return !same
}
