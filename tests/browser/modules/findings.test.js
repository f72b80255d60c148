import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listEntries } from '../../../web/placer/entries.js'
import { listFindings } from '../../../web/placer/findings.js'
import { EMPTY_GRAPH_STATE } from '../../../web/placer/graph_state.js'
import { readState } from '../../../web/placer/placements.js'

const TWO = '[{"x": 100, "y": 200}, {"x": 300, "y": 200}]'

function find(text, more = {}, image = null) {
  const graph = {
    ...EMPTY_GRAPH_STATE,
    count: 2,
    names: ['Ada', 'Bob'],
    connected: true,
    bodies: 'none',
    ...more
  }
  const state = readState(text, graph)
  return listFindings(state, listEntries(state, graph), graph, image)
}

const texts = (...args) => find(...args).map(({ text }) => text)

test('reports who has no placement, and placements too many', () => {
  assert.ok(texts('[{"x": 1, "y": 2}]').includes('Bob has no placement yet.'))
  const one = { count: 1, names: ['Ada'] }
  assert.ok(texts(TWO, one).includes('1 placement too many for 1 person.'))
})

test('reports who overlaps, who is outside and who is off', () => {
  const text = '[{"x": 100, "y": 200}, {"x": 150, "y": 200}]'
  const overlap = 'The patches of Ada and Bob overlap.'
  assert.ok(texts(text, { patchSizeKnown: true }).includes(overlap))
  assert.ok(!texts(text).includes(overlap)) // it depends on the model's patch size
  const outside = '[{"x": 100, "y": 200}, {"x": 1024, "y": 9}]'
  assert.ok(texts(outside).includes('Bob is outside the image and gets no patch.'))
  assert.ok(texts('[{"x": 100, "y": 200}, null]').includes('Bob is off the canvas.'))
})

test('reports that a text is for another size, and that few poses were found', () => {
  const text = '{"version":1,"width":512,"height":512,"people":[{"x":1,"y":2},{"x":99,"y":2}]}'
  assert.ok(texts(text).includes('The placements are for 512×512; the image is 1024×1024.'))
  assert.ok(texts(TWO, { poses: [{ x: 1, y: 1 }] }).includes('Only 1 pose found for 2 people.'))
})

const joints = ({ x, y }) =>
  Array.from({ length: 18 }, (_, index) => ({ x: x + index, y: y + index }))
const posed = (...points) => ({
  poses: points.map((point, skeleton) => ({ ...point, skeleton })),
  skeletons: points.map(joints),
  bodies: 'from_pose'
})
const POINTS = [
  { x: 100, y: 200 },
  { x: 300, y: 200 },
  { x: 500, y: 200 }
]

test('reports poses that are too few for a run as an error, with what to do', () => {
  const [first] = find('', posed(POINTS[0]))
  assert.equal(first.level, 'error')
  assert.match(
    first.text,
    /^Only 1 pose found for 2 people\. Choose a pose of 2 people, .*Load Pose/
  )
  assert.deepEqual(first.actions, [{ id: 'give_bodies', label: 'Add bodies' }])
  assert.equal(find(TWO, { arrangement: 'pose', ...posed(POINTS[0]) })[0].level, 'error')
  assert.ok(find(TWO, posed(POINTS[0])).every(({ level }) => level !== 'error'))
  const faces = find('', { arrangement: 'faces', faces: [POINTS[0]] })
  assert.equal(
    faces[0].text,
    'Only 1 face found for 2 people. Connect a photo of all, or place them by hand.'
  )
})

test('reports poses that are drawn without a person, and offers to leave them out', () => {
  const drawn = 'is drawn, so the image may show someone else there.'
  for (const text of ['', TWO]) {
    const found = find(text, posed(...POINTS)).filter(({ level }) => level === 'warning')
    assert.deepEqual(found, [
      {
        level: 'warning',
        text: `1 pose without a person ${drawn}`,
        actions: [{ id: 'keep_bodies', label: 'Leave out' }]
      }
    ])
  }
  const off = '[{"x": 100, "y": 200}, null]'
  assert.ok(texts(off, posed(...POINTS.slice(0, 2))).includes(`1 pose without a person ${drawn}`))
  assert.deepEqual(texts(TWO, posed(...POINTS.slice(0, 2))), [])
})

test('reports a broken text, which places no one', () => {
  const [first] = find('{"version": 9}')
  assert.equal(first.level, 'error')
  assert.deepEqual(
    first.actions.map(({ id }) => id),
    ['reset', 'text']
  )
})

test('reports who is new and who is gone', () => {
  const text = '[{"x": 1, "y": 2, "name": "Bob"}, {"x": 999, "y": 2, "name": "Ada"}]'
  assert.deepEqual(texts(text), [])
  assert.deepEqual(texts(text, { count: 1, names: ['Ada'] }), ['Bob is gone.'])
  const three = { count: 3, names: ['Ada', 'Bob', 'Eve'] }
  assert.deepEqual(texts(text, three), ['Eve is new and was placed automatically.'])
})

test('reports an image of another aspect ratio, as the node refuses it', () => {
  assert.deepEqual(texts(TWO, {}, { width: 512, height: 515 }), [])
  const other = { width: 896, height: 1152 }
  const wrong = '896×1152, which has a different aspect ratio from 1024×1024.'
  assert.deepEqual(texts(TWO, { hasBase: true }, other), [`The base image is ${wrong}`])
  assert.deepEqual(texts(TWO, {}, other), [`The drawn pose is ${wrong}`])
  // The image is that of the last run; what is wrong is the pose that is connected now.
  assert.deepEqual(texts(TWO, { unfitPose: other }, other), [`The pose is ${wrong}`])
})

test('reports whose face is not on the skeletons of a base image', () => {
  const base = (poses) => ({ poses, hasBase: true, drawsPoses: false })
  const poses = [
    { x: 100, y: 200 },
    { x: 332, y: 200 }
  ]
  assert.deepEqual(texts(TWO, base(poses)), [])
  assert.deepEqual(texts(TWO, base([poses[0], { x: 333, y: 200 }])), [
    'Bob’s face is not on a skeleton; the body stays in the base image.'
  ])
  const away = texts('[{"x": 9, "y": 9}, {"x": 500, "y": 9}]', base(poses))
  assert.deepEqual(away, [
    'The faces of Ada and Bob are not on skeletons; the bodies stay in the base image.'
  ])
  assert.deepEqual(texts('[null, {"x": 332, "y": 200}]', base([poses[1]])), [
    'Ada is off the canvas.'
  ])
})

test('reports people without a body, unless the model needs none', () => {
  const none = 'The image has no skeleton; the released model was not trained on such images.'
  const [{ text, actions }] = find(TWO, { bodies: 'from_pose' })
  assert.equal(text, none)
  assert.deepEqual(actions, [{ id: 'standing_bodies', label: 'Draw bodies' }])
  assert.deepEqual(texts(TWO, { bodies: 'none' }), [])
  assert.deepEqual(texts(TWO, { bodies: 'standing' }), [])
  const body = Array.from({ length: 18 }, (_, index) => [index, index])
  const one = JSON.stringify([
    { x: 100, y: 200, body },
    { x: 300, y: 200 }
  ])
  assert.deepEqual(texts(one, { bodies: 'from_pose' }), ['Bob has no body.'])
})

test('reports a base image that is a photo, and offers it as the reference', () => {
  const photo = { width: 512, height: 512, photo: true }
  const [{ text, actions }] = find(TWO, { hasBase: true }, photo)
  assert.ok(text.startsWith('The base image looks like a photo'))
  assert.deepEqual(actions, [{ id: 'use_reference', label: 'Use as reference' }])
  assert.deepEqual(texts(TWO, { hasBase: true }, { ...photo, photo: false }), [])
})

test('reports that points are known after a run only', () => {
  const [text] = texts('', { awaited: 'poses' })
  assert.ok(text.startsWith('Where the poses are is known after a run.'))
  assert.deepEqual(texts(TWO, { awaited: 'poses' }), [])
})

test('reports a pose of another aspect ratio, and offers to set its size', () => {
  const graph = { unfitPose: { width: 1344, height: 768 }, canFitPose: true, awaited: 'poses' }
  const [first, ...more] = find('', graph)
  const text = 'The pose is 1344×768, which has a different aspect ratio from 1024×1024.'
  assert.equal(first.text, text)
  assert.deepEqual(first.actions, [{ id: 'fit_pose', label: 'Set its size' }])
  assert.deepEqual(more, [])
})

test('reports errors first', () => {
  const levels = find('[null, {"x": -1, "y": 2}]', { count: 3, names: ['Ada', 'Bob', 'Cem'] })
  assert.deepEqual(
    levels.map(({ level }) => level),
    ['error', 'warning', 'info']
  )
})

test('reports whose face is too small, once the size of the patches is known', () => {
  const known = { bodies: 'standing', patchSizeKnown: true }
  const row = (count, width) => {
    const people = [...Array(count).keys()].map((nth) => ({
      x: (width / count) * (nth + 0.5),
      y: 90
    }))
    const names = people.map((_, nth) => `P${nth + 1}`)
    return texts(JSON.stringify(people), { ...known, count, names, width, height: 1024 })
  }
  // As make_standing and its test: eight people on 1024 pixels have faces 32 wide.
  const [found] = row(8, 1024).filter((text) => text.includes('too small'))
  assert.match(
    found,
    /^The faces of P1, .*P8 may be too small for a resemblance: narrower than 38 /
  )
  assert.ok(!row(5, 2048).some((text) => text.includes('too small')))
  assert.ok(!texts(TWO, { bodies: 'standing' }).some((text) => text.includes('too small')))
})
