import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addPeople,
  addPhotos,
  changePerson,
  changePhoto,
  dropIndex,
  findFaceAt,
  makeUnique,
  movePerson,
  parsePeople,
  removePerson,
  removePhoto,
  suggestName,
  writePeople
} from '../../../web/people/state.js'

const TEXT = JSON.stringify([
  { name: 'Anna', photos: ['anna.jpg', { file: 'b.jpg', face: [0.25, 1], weight: 0.5, note: 1 }] },
  { name: '', photos: ['c.jpg'], token_strength: 2, phrase: 'red shirt', colour: 'red' }
])

test('what is read is written to the letter', () => {
  const { people, problem } = parsePeople(TEXT)
  assert.equal(problem, null)
  assert.equal(writePeople(people), TEXT)
  assert.deepEqual(people[0].photos[1].face, [0.25, 1])
  assert.deepEqual(parsePeople(`{"version": 1, "people": ${TEXT}}`).people, people)
})

test('no one is an empty text', () => {
  for (const text of ['', ' ', '[]']) assert.deepEqual(parsePeople(text).people, [])
  assert.equal(writePeople([]), '')
})

test('a wrong text is a problem', () => {
  for (const text of [
    '{',
    '3',
    '[3]',
    '{"version": 2, "people": []}',
    '[{"photos": [3]}]',
    '[{"photos": [{"file": "a", "face": [2, 0]}]}]',
    '[{"photos": [{"file": "a", "weight": -1}]}]',
    '[{"photos": ["a"], "token_strength": 11}]',
    '[{"photos": ["a"], "phrase": 3}]'
  ]) {
    const { people, problem } = parsePeople(text)
    assert.deepEqual(people, [], text)
    assert.match(String(problem), /^The people cannot be read: .+\.$/)
  }
})

test('files suggest names, unless they name no one', () => {
  assert.equal(suggestName('sub/anna.jpg'), 'Anna')
  assert.equal(suggestName("Jean-Luc_O'Hara.png"), "Jean-Luc O'Hara")
  for (const file of [
    'IMG_1234.jpg',
    'image.png',
    'image (1).png',
    'photo.jpg',
    '7.jpg',
    'x.jpg'
  ]) {
    assert.equal(suggestName(file), '')
  }
})

test('people and photos are added, changed, moved and removed', () => {
  let people = addPeople([], ['anna.jpg', 'ben.jpg', 'cleo.jpg'])
  assert.equal(people.map(({ name }) => name).join(), 'Anna,Ben,Cleo')
  people = movePerson(people, 0, 2)
  assert.equal(people.map(({ name }) => name).join(), 'Ben,Cleo,Anna')
  people = addPhotos(people, 2, ['anna2.jpg'])
  people = changePhoto(people, 2, 1, { face: [0.5, 0.25], weight: 2 })
  people = removePerson(people, 0)
  assert.equal(
    writePeople(removePhoto(people, 1, 0)),
    '[{"name":"Cleo","photos":["cleo.jpg"]},' +
      '{"name":"Anna","photos":[{"file":"anna2.jpg","face":[0.5,0.25],"weight":2}]}]'
  )
})

test('a phrase stays with its person and is written only if there is one', () => {
  let people = addPeople(addPeople([], ['anna.jpg']), ['ben.jpg'])
  people = changePerson(people, 1, { phrase: 'grey suit, smiling' })
  people = addPhotos(movePerson(people, 1, 0), 0, ['b.jpg'])
  const anna = '{"name":"Anna","photos":["anna.jpg"]}'
  assert.equal(
    writePeople(people),
    `[{"name":"Ben","photos":["ben.jpg","b.jpg"],"phrase":"grey suit, smiling"},${anna}]`
  )
  assert.deepEqual(parsePeople(writePeople(people)).people, people)
  const cleared = writePeople(changePerson(people, 0, { phrase: '' }))
  assert.equal(cleared, `[{"name":"Ben","photos":["ben.jpg","b.jpg"]},${anna}]`)
})

test('new photos go to the people without one first', () => {
  const { people } = parsePeople('[{"name":"Anna","photos":[]},{"photos":["x.jpg"]},{"photos":[]}]')
  assert.equal(
    writePeople(addPeople(people, ['sunak.jpg', 'ben.jpg', 'cleo.jpg'])),
    '[{"name":"Anna","photos":["sunak.jpg"]},{"name":"","photos":["x.jpg"]},' +
      '{"name":"Ben","photos":["ben.jpg"]},{"name":"Cleo","photos":["cleo.jpg"]}]'
  )
})

test('repeated names are numbered', () => {
  const names = ['Anna', 'Anna', null, 'Anna 2', 'Anna', null, 'Ben']
  const unique = ['Anna', 'Anna 3', null, 'Anna 2', 'Anna 4', null, 'Ben']
  assert.deepEqual(makeUnique(names), unique)
})

test('the face at a point holds it, or is nearest', () => {
  /** @type {import('../../../web/people/state.js').Box[]} */
  const boxes = [
    [0, 0, 0.5, 1],
    [0.56, 0.2, 0.68, 0.9]
  ]
  assert.equal(findFaceAt([], [0.5, 0.5], 1), -1)
  assert.equal(findFaceAt(boxes, null, 1), 0)
  assert.equal(findFaceAt(boxes, [0.45, 0.9], 1), 0)
  assert.equal(findFaceAt(boxes, [0.6, 0.5], 1), 1)
  assert.equal(findFaceAt(boxes, [0.52, 0.5], 1), 0)
  assert.equal(findFaceAt([boxes[0], [0.3, 0, 0.6, 0.6]], [0.4, 0.3], 2), 1)
})

test('a dragged row is dropped between the others', () => {
  const middles = [10, 20, 30]
  assert.equal(dropIndex(middles, 0, 25), 1)
  assert.equal(dropIndex(middles, 0, 35), 2)
  assert.equal(dropIndex(middles, 2, 5), 0)
  assert.equal(dropIndex(middles, 1, 21), 1)
})
