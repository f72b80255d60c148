// The people of the People node: reads, changes and writes their JSON. Pure functions.

/**
 * @typedef {object} Photo
 * @property {string} file  in ComfyUI's input folder, as Load Image names it
 * @property {[number, number] | null} face  a point on the face, normalised to the photo
 * @property {number} weight  in the average of the person's photos
 * @property {Record<string, unknown>} extra  fields that are kept
 *
 * @typedef {object} Person
 * @property {string} name
 * @property {Photo[]} photos
 * @property {number} tokenStrength
 * @property {string} phrase  clothes, hair or expression, for Describe People
 * @property {Record<string, unknown>} extra
 *
 * @typedef {[left: number, top: number, right: number, bottom: number]} Box  normalised
 */

export const MOST_STRENGTH = 10
export const MOST_WEIGHT = 100
const VERSION = 1
// Names of files that name no one.
const NO_NAME = /^(image|photo|img|dsc|pasted|untitled|screenshot|download|unknown)\b/i
const NAME = /^[\p{L}][\p{L}' -]{1,23}$/u

/** @type {(value: unknown) => value is Record<string, unknown>} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** @type {(value: unknown, most: number) => number} */
function toNumber(value, most) {
  if (value === undefined) return 1
  if (typeof value !== 'number' || value < 0 || value > most) throw new Error('a number is wrong')
  return value
}

/** @type {(value: unknown) => [number, number] | null} */
function toPoint(value) {
  if (value === undefined || value === null) return null
  const isShare = (/** @type {unknown} */ one) => typeof one === 'number' && one >= 0 && one <= 1
  if (!Array.isArray(value) || value.length !== 2 || !value.every(isShare)) {
    throw new Error('a face is no point')
  }
  return [value[0], value[1]]
}

/** @type {(item: unknown) => Photo} */
function toPhoto(item) {
  const fields = typeof item === 'string' ? { file: item } : item
  if (!isObject(fields)) throw new Error('a photo is no file')
  const { file, face, weight, ...extra } = fields
  if (typeof file !== 'string' || !file) throw new Error('a photo has no file')
  return { file, face: toPoint(face), weight: toNumber(weight, MOST_WEIGHT), extra }
}

/** @type {(item: unknown) => Person} */
function toPerson(item) {
  if (!isObject(item)) throw new Error('a person is no object')
  const { name = '', photos = [], token_strength, phrase = '', ...extra } = item
  if (typeof name !== 'string' || !Array.isArray(photos)) throw new Error('a person is wrong')
  if (typeof phrase !== 'string') throw new Error('a phrase is no text')
  const tokenStrength = toNumber(token_strength, MOST_STRENGTH)
  return { name, photos: photos.map(toPhoto), tokenStrength, phrase, extra }
}

/**
 * Reads the JSON as idpatch_core/people.py does; a problem leaves no people.
 * @type {(text: string) => {people: Person[], problem: string | null}}
 */
export function parsePeople(text) {
  if (!text.trim()) return { people: [], problem: null }
  try {
    const data = JSON.parse(text)
    if (isObject(data) && (data.version ?? VERSION) !== VERSION) throw new Error('newer version')
    const list = isObject(data) ? data.people : data
    if (!Array.isArray(list)) throw new Error('no list')
    return { people: list.map(toPerson), problem: null }
  } catch (error) {
    const reason = error instanceof Error ? error.message : error
    return { people: [], problem: `The people cannot be read: ${reason}.` }
  }
}

/** @type {(photo: Photo) => unknown} */
function writePhoto({ file, face, weight, extra }) {
  if (!face && weight === 1 && !Object.keys(extra).length) return file
  return { file, ...(face && { face }), ...(weight !== 1 && { weight }), ...extra }
}

/**
 * Writes the JSON; no one is an empty text.
 * @type {(people: Person[]) => string}
 */
export function writePeople(people) {
  if (!people.length) return ''
  const items = people.map(({ name, photos, tokenStrength, phrase, extra }) => ({
    name,
    photos: photos.map(writePhoto),
    ...(tokenStrength !== 1 && { token_strength: tokenStrength }),
    ...(phrase && { phrase }),
    ...extra
  }))
  return JSON.stringify(items)
}

/**
 * A name that a photo's file suggests, or an empty text.
 * @type {(file: string) => string}
 */
export function suggestName(file) {
  const stem = (file.split('/').pop() ?? '').replace(/\.[^.]*$/, '').replace(/_+/g, ' ')
  if (!NAME.test(stem) || NO_NAME.test(stem)) return ''
  return stem.charAt(0).toUpperCase() + stem.slice(1)
}

/** @type {(file: string) => Photo} */
const newPhoto = (file) => ({ file, face: null, weight: 1, extra: {} })

/**
 * Gives the photos to the people without one, in order, and adds a person for each further photo.
 * @type {(people: Person[], files: string[]) => Person[]}
 */
export function addPeople(people, files) {
  const left = [...files]
  const filled = people.map((person) => {
    const file = person.photos.length ? undefined : left.shift()
    if (file === undefined) return person
    return { ...person, name: person.name || suggestName(file), photos: [newPhoto(file)] }
  })
  const added = left.map((file) => ({
    name: suggestName(file),
    photos: [newPhoto(file)],
    tokenStrength: 1,
    phrase: '',
    extra: {}
  }))
  return [...filled, ...added]
}

/**
 * Numbers repeated names, as idpatch_core/identity.py does: the second "Anna" becomes "Anna 2".
 * A name that is not known yet stays null.
 * @type {(names: (string | null)[]) => (string | null)[]}
 */
export function makeUnique(names) {
  const given = new Set(names)
  /** @type {Set<string>} */
  const taken = new Set()
  return names.map((name) => {
    if (!name) return null
    let unique = name
    for (let number = 2; taken.has(unique) || (number > 2 && given.has(unique)); number++) {
      unique = `${name} ${number}`
    }
    taken.add(unique)
    return unique
  })
}

/** @type {(people: Person[], index: number, change: Partial<Person>) => Person[]} */
export const changePerson = (people, index, change) =>
  people.map((person, nth) => (nth === index ? { ...person, ...change } : person))

/** @type {(people: Person[], index: number, files: string[]) => Person[]} */
export const addPhotos = (people, index, files) =>
  changePerson(people, index, { photos: [...people[index].photos, ...files.map(newPhoto)] })

/** @type {(people: Person[], index: number, photo: number, change: Partial<Photo>) => Person[]} */
export const changePhoto = (people, index, photo, change) =>
  changePerson(people, index, {
    photos: people[index].photos.map((one, nth) => (nth === photo ? { ...one, ...change } : one))
  })

/** @type {(people: Person[], index: number) => Person[]} */
export const removePerson = (people, index) => people.filter((_, nth) => nth !== index)

/** @type {(people: Person[], index: number, photo: number) => Person[]} */
export const removePhoto = (people, index, photo) =>
  changePerson(people, index, {
    photos: people[index].photos.filter((_, nth) => nth !== photo)
  })

/**
 * Moves a person to another place in the order.
 * @type {(people: Person[], from: number, to: number) => Person[]}
 */
export function movePerson(people, from, to) {
  const moved = [...people]
  moved.splice(to, 0, ...moved.splice(from, 1))
  return moved
}

/**
 * The face at a point, as idpatch_core/people.py chooses it: the one whose box holds the point or
 * is nearest, and of several the one with the nearest middle. Without a point it is the first, the
 * largest. -1 if there is no face.
 * @type {(boxes: Box[], point: [number, number] | null, aspect: number) => number}
 */
export function findFaceAt(boxes, point, aspect) {
  if (!boxes.length || !point) return boxes.length ? 0 : -1
  const [x, y] = point
  const distances = boxes.map(([left, top, right, bottom]) => ({
    box: Math.hypot(Math.max(left - x, 0, x - right) * aspect, Math.max(top - y, 0, y - bottom)),
    middle: Math.hypot(((left + right) / 2 - x) * aspect, (top + bottom) / 2 - y)
  }))
  const order = boxes.map((_, index) => index)
  order.sort(
    (a, b) => distances[a].box - distances[b].box || distances[a].middle - distances[b].middle
  )
  return order[0]
}

/**
 * The index at which a dragged row is dropped, from the middles of the rows, which are in order.
 * @type {(middles: number[], from: number, y: number) => number}
 */
export const dropIndex = (middles, from, y) =>
  middles.filter((middle, index) => index !== from && middle < y).length
