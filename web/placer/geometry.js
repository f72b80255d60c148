// Where things are. Pure functions on points `{x, y}`; pixels are output pixels unless said
// otherwise. Arrangements, overlap and outside are those of idpatch_core/layout.py to the pixel.

/** Rounds as Python and NumPy do: a half goes to the even neighbour. */
export function rint(value) {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return (floor % 2 === 0 ? floor : floor + 1) || 0
}

const rintPoint = ({ x, y }) => ({ x: rint(Math.fround(x)), y: rint(Math.fround(y)) })

/** Whether a person at this point gets a patch: it is a pixel of the picture once rounded. */
export function isInside(point, width, height) {
  const { x, y } = rintPoint(point)
  return x >= 0 && x < width && y >= 0 && y < height
}

/** The square that a patch covers, `{x, y, size}` with the top left corner in pixels. */
export function patchSquare(point, size) {
  const half = Math.floor(size / 2)
  return { ...rintPoint({ x: point.x - half, y: point.y - half }), size }
}

/**
 * The side of the patch that a person gets at a point. `heads` `{x, y, size}` are there where the
 * model's patches are as large as the faces; a head counts within half a patch.
 */
export function sideAt(point, patchSize, heads) {
  const [nearest] = heads
    .map((head) => ({ ...head, away: Math.hypot(head.x - point.x, head.y - point.y) }))
    .sort((a, b) => a.away - b.away)
  return nearest && nearest.away <= patchSize / 2 ? nearest.size : patchSize
}

/** The pairs of indices whose patches share pixels; null stands for a person without a patch. */
export function overlapping(points, width, height, patchSize = 64, heads = []) {
  const pairs = []
  const sides = points.map((point) => point && sideAt(point, patchSize, heads))
  points.forEach((first, i) => {
    points.forEach((second, j) => {
      if (j <= i || !first || !second) return
      if (!isInside(first, width, height) || !isInside(second, width, height)) return
      const [a, b] = [rintPoint(first), rintPoint(second)]
      const near = (sides[i] + sides[j]) / 2
      if (Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y)) < near) pairs.push([i, j])
    })
  })
  return pairs
}

/** The indices of the points outside the picture. */
export function outside(points, width, height) {
  return points.flatMap((point, index) => (point && !isInside(point, width, height) ? [index] : []))
}

export const ARRANGEMENTS = { row, two_rows: twoRows, arc }

/** One row, or as many as keep the patches apart in a narrow picture. */
export function row(count, width, height, patchSize = 64) {
  return rows(count, width, height, patchSize, 1)
}

/** Two rows, the back one first, or more where the picture is narrow. */
export function twoRows(count, width, height, patchSize = 64) {
  return rows(count, width, height, patchSize, Math.min(2, count))
}

/** A row that hangs down at both ends; rows in a narrow picture. */
export function arc(count, width, height, patchSize = 64) {
  const points = row(count, width, height, patchSize)
  if (new Set(points.map(({ y }) => y)).size > 1) return points
  if (points.length === 0) return points
  const fall = Math.min(0.2 * height, Math.max(height - patchSize / 2 - points[0].y, 0))
  return points.map(({ x, y }) => ({ x, y: rint(y + fall * ((2 * x) / width - 1) ** 2) }))
}

function rows(count, width, height, patchSize, wanted) {
  const across = Math.max(Math.floor(width / patchSize), 1)
  let number = Math.max(wanted, Math.ceil(count / across))
  number = Math.max(Math.min(number, Math.floor(height / patchSize)), 1)
  const gap = Math.max((0.3 * height) / Math.max(number - 1, 1), patchSize)
  const depth = gap * (number - 1)
  const [highest, lowest] = [patchSize / 2, height - patchSize / 2]
  const middle = (number === 1 ? 0.35 : 0.45) * height - depth / 2
  const top = Math.max(Math.min(Math.max(middle, highest), lowest - depth), 0)
  const points = []
  for (let level = 0; level < number; level++) {
    const size = Math.floor(count / number) + (level < count % number ? 1 : 0)
    for (let index = 0; index < size; index++) {
      points.push({ x: rint(((index + 0.5) * width) / size), y: rint(top + gap * level) })
    }
  }
  return points
}

/** Keeps a point on a pixel of the picture. */
export function clampInside({ x, y }, width, height) {
  return {
    x: Math.min(Math.max(Math.round(x), 0), width - 1),
    y: Math.min(Math.max(Math.round(y), 0), height - 1)
  }
}

/** The nearest target within reach, else the point itself. */
export function snap(point, targets, reach) {
  let [best, nearest] = [point, reach]
  for (const target of targets) {
    const distance = Math.hypot(target.x - point.x, target.y - point.y)
    if (distance <= nearest) [best, nearest] = [target, distance]
  }
  return best
}

/** Where a dragged person is: as far from the start as the pointer went, snapped, kept inside. */
export function drag(start, from, to, { width, height, targets = [], reach = 0 }) {
  const free = { x: start.x + to.x - from.x, y: start.y + to.y - from.y }
  return clampInside(snap(free, targets, reach), width, height)
}

/** The index of the topmost point within reach; the last is drawn on top, `first` above all. */
export function hitTest(points, at, reach, first = -1) {
  const hits = points.flatMap((point, index) =>
    point && Math.hypot(point.x - at.x, point.y - at.y) <= reach ? [index] : []
  )
  return hits.includes(first) ? first : (hits.at(-1) ?? -1)
}

/**
 * Gives the places to the people from left to right, in the people's order.
 *
 * Where there are targets (poses or faces) enough for all who have a place, those are the places;
 * otherwise the places that are taken are dealt out anew. Null stays null.
 */
export function leftToRight(points, targets = []) {
  const present = points.filter(Boolean)
  const places = targets.length >= present.length ? targets.slice(0, present.length) : present
  const sorted = [...places].sort((a, b) => a.x - b.x || a.y - b.y)
  return points.map((point) => (point ? sorted.shift() : null))
}

/** Fits a picture into a box: `{scale, left, top}` from output pixels to the box. */
export function contain(width, height, boxWidth, boxHeight, margin = 0) {
  const scale = Math.max(
    Math.min((boxWidth - 2 * margin) / width, (boxHeight - 2 * margin) / height),
    1e-6
  )
  return {
    scale,
    left: (boxWidth - width * scale) / 2,
    top: (boxHeight - height * scale) / 2
  }
}

export const toView = (view, { x, y }) => ({
  x: view.left + x * view.scale,
  y: view.top + y * view.scale
})

export const fromView = (view, { x, y }) => ({
  x: (x - view.left) / view.scale,
  y: (y - view.top) / view.scale
})

/** From pixels to shares of the picture, and back. */
export const normalise = ({ x, y }, width, height) => ({ x: x / width, y: y / height })

export const denormalise = ({ x, y }, width, height) => ({ x: x * width, y: y * height })
