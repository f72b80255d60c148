"""The editor's pure modules: their own tests, and their agreement with the Python they mirror."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from idpatch_core.bodies import KINDS, choose_people, make_body
from idpatch_core.face_detector import Face
from idpatch_core.head_crops import estimate_eye_distance
from idpatch_core.layout import ARRANGEMENTS, Point, outside, overlapping, rank_heads
from idpatch_core.people import find_face_at, parse_people
from idpatch_core.placements import parse_placements, read_placements
from idpatch_core.poses import PRESETS, make_preset
from idpatch_core.skeleton import FACE_TO_EYES, draw_openpose, find_head, find_heads

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed (apt: nodejs)")

MODULES = (
    *("bodies", "entries", "entry_bodies", "findings", "geometry", "graph_state", "handles"),
    *("history", "image_lines", "layout", "links", "newcomers", "placements", "poses"),
    *("selection", "skeletons", "small_faces"),
)

SIZES = [(1024, 1024), (512, 768), (1344, 768), (200, 1000), (64, 64), (2048, 96), (264, 200)]


def run_module(script: str, data: object) -> list:
    """Run a script with `data` as its input and the pure modules imported under their names."""
    imports = [f"import * as {name} from './web/placer/{name}.js'" for name in MODULES]
    imports.append("import * as people from './web/people/state.js'")
    done = subprocess.run(
        [NODE or "node", "--input-type=module", "--eval", "\n".join([*imports, script])],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


READ = "import { readFileSync } from 'node:fs'\nconst data = JSON.parse(readFileSync(0, 'utf8'))\n"


def test_modules():
    files = sorted(Path(__file__).with_name("modules").glob("*.test.js"))
    names = (*MODULES, "people", "undo_keeper")
    assert {file.name for file in files} == {f"{name}.test.js" for name in names}
    done = subprocess.run(
        [NODE or "node", "--test", *map(str, files)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_arrangements_are_those_of_the_node():
    cases = [
        (name, count, width, height)
        for name in ARRANGEMENTS
        for count in range(1, 11)
        for width, height in SIZES
    ]
    script = "layout.ARRANGEMENTS[name](count, width, height).map(({ x, y }) => [x, y])"
    got = run_module(
        f"{READ}console.log(JSON.stringify(data.map(([name, count, width, height]) => {script})))",
        cases,
    )
    expected = [[list(point) for point in ARRANGEMENTS[name](*rest)] for name, *rest in cases]
    assert got == expected


def test_warnings_are_those_of_the_node():
    values = [-0.51, -0.5, 0, 31.5, 32.5, 63.49, 63.5, 95.5, 100, 163.5, 199.4999999, 199.5]
    points = [Point(x, y) for x in values for y in (10.0, 74.5, 150.5)]
    got = run_module(
        f"{READ}const points = data.map(([x, y]) => ({{ x, y }}))\n"
        "console.log(JSON.stringify([layout.outside(points, 200, 150),"
        " layout.overlapping(points, 200, 150)]))",
        points,
    )
    expected = [
        outside(points, 200, 150),
        [list(pair) for pair in overlapping(points, 200, 150)],
    ]
    assert got == expected


TEXTS = [
    '[{"x": 1, "y": 2}, {"x": 3.5, "y": -4}]',
    '[null, {"x": 1e6, "y": 0, "patch_strength": 10}]',
    '{"version": 1, "people": [{"placed": false}, {"x": 0, "y": 0, "anything": [1]}]}',
    '{"version": 1, "people": [{"x": "1", "y": 2, "placed": false}, null], "more": 1}',
    '[{"x": 1, "y": 2}, {"x": 3.5}]',
    '[{"x": 1, "y": 2}, {"x": NaN, "y": 1}]',
    '[{"x": 1, "y": 2}, {"x": Infinity, "y": 1}]',
    '[{"x": 1, "y": 2}, {"x": 1e999, "y": 1}]',
    '[{"x": 1, "y": 2}, {"x": 1000001, "y": 1}]',
    '[{"x": 1, "y": 2}, {"x": "7", "y": 1}]',
    '[{"x": 1, "y": 2}, {"x": true, "y": 1}]',
    '[{"x": 1, "y": 2}, {"x": null, "y": 1}]',
    '[{"x": 1, "y": 2}, {"x": 1, "y": 1, "patch_strength": -1}]',
    '[{"x": 1, "y": 2}, {"x": 1, "y": 1, "patch_strength": null}]',
    '[{"x": 1, "y": 2}, {"x": 1, "y": 1, "placed": null}]',
    '[{"x": 1, "y": 2}, [1, 2]]',
    '{"version": 2, "people": [null, null]}',
    '{"version": "1", "people": [null, null]}',
    '{"people": [null, null]}',
    '{"version": 1, "people": null}',
    '{"version": 1}',
    "[1, 2",
    "null",
    '"text"',
    "12",
]


def test_built_in_poses_are_those_of_the_node():
    cases = [(name, width, height) for name in PRESETS for width, height in SIZES]
    got = run_module(
        f"{READ}console.log(JSON.stringify(data.map(([name, width, height]) => {{"
        " const made = poses.PRESETS[name]({ width, height })\n"
        " return [Object.keys(poses.PRESETS).length, made, poses.headsOf(made)]"
        "})))",
        cases,
    )
    for (name, width, height), (number, made, noses) in zip(cases, got, strict=True):
        people = make_preset(name, width, height)
        heads, _ = find_heads(people)
        assert number == len(PRESETS)
        assert_joints(made, people)
        points = [(nose["x"], nose["y"]) for nose in noses]
        assert np.allclose(points, [head.point for head in rank_heads(heads)], rtol=0, atol=1e-9)


def assert_joints(made: list, people: np.ndarray) -> None:
    """Compare the browser's joints with people (N, 18, 3)."""
    seen = people[..., 2] > 0
    assert [[joint is not None for joint in person] for person in made] == seen.tolist()
    points = [[joint["x"], joint["y"]] for person in made for joint in person if joint]
    assert np.allclose(points, people[seen][:, :2], rtol=0, atol=1e-9)


HEAD = (0, 14, 15, 16, 17)  # nose, eyes and ears


def random_arrangement(rng: np.random.Generator) -> dict:
    """1 to 8 people in an image: with bodies of their own, on poses, or without."""
    width, height = (int(side) for side in rng.choice([256, 384, 512, 704], 2))
    people = []
    for _ in range(int(rng.integers(1, 9))):
        x, y = np.round(rng.uniform([-10, -10], [width + 10, height + 10]), 2).tolist()
        person = {"x": x, "y": y, "placed": bool(rng.random() < 0.9)}
        if rng.random() < 0.6:
            body = make_body(str(rng.choice(list(KINDS))), rng.uniform(80, 900), rng.random() < 0.5)
            bent = rng.normal(size=(18, 2)) * [[joint not in HEAD] for joint in range(18)]
            person["body"] = [
                joint and np.round(joint + shift, 2).tolist()
                for joint, shift in zip(body, bent, strict=True)
            ]
        people.append(person)
    preset = str(rng.choice(list(PRESETS))) if rng.random() < 0.5 else None
    return {
        "width": width,
        "height": height,
        "bodies": str(rng.choice(["from_pose", "standing", "sitting", "portrait", "none"])),
        "preset": preset,
        "text": json.dumps({"version": 1, "width": width, "height": height, "people": people}),
    }


def test_newcomers_are_placed_as_by_the_node():
    """Names are matched and free points found alike, in 100 random arrangements."""
    rng = np.random.default_rng(15)
    cases = []
    for _ in range(100):
        names = [str(name) for name in rng.permutation(list("ABCDEFG"))]
        stored, now = names[: rng.integers(1, 6)], rng.permutation(names)[: rng.integers(1, 6)]
        placed = [
            {"x": int(x), "y": int(y), "name": name, "placed": bool(rng.random() < 0.8)}
            for name, (x, y) in zip(stored, rng.integers(0, 500, (len(stored), 2)), strict=True)
        ]
        cases.append([json.dumps(placed), now.tolist()])
    got = run_module(
        f"{READ}console.log(JSON.stringify(data.map(([text, names]) => {{"
        " const size = { width: 512, height: 384, count: names.length, names }\n"
        " const graph = { ...graph_state.EMPTY_GRAPH_STATE, ...size }\n"
        " const shown = entries.listEntries(placements.readState(text, graph), graph)\n"
        " return entries.pointsOf(shown).slice(0, names.length) })))",
        cases,
    )
    for (text, names), points in zip(cases, got, strict=True):
        placements, _ = read_placements(text, names, 512, 384)
        expected = [placement.point for placement in placements]
        assert [point and (point["x"], point["y"]) for point in points] == expected


DRAW = """
const draw = ({ width, height, bodies, preset, text }) => {
  const made = preset ? poses.PRESETS[preset]({ width, height }) : []
  const found = { skeletons: made, poses: poses.headsOf(made) }
  const graph = { ...graph_state.EMPTY_GRAPH_STATE, width, height, bodies, ...found }
  const shown = entries.listEntries(placements.readState(text, graph), graph)
  const people = entry_bodies.skeletonsToDraw(shown, graph)
  const part = skeletons.drawSkeletons(people, width, height)
  const own = shown.filter(({ source }) => source === 'placement' || source === 'kind')
  const heads = own.map(({ joints, point }) => [joints, point])
  return [part && { ...part, data: Buffer.from(part.data).toString('base64') }, heads]
}
console.log(JSON.stringify(data.map(draw)))
"""


def test_skeletons_are_drawn_as_by_the_node():
    """In 200 random arrangements, at least 99.9 % of the pixels are the same."""
    rng = np.random.default_rng(14)
    cases = [random_arrangement(rng) for _ in range(200)]
    got = run_module(READ + DRAW, cases)
    shares, lit_shares, farthest = [], [], []
    for case, (part, heads) in zip(cases, got, strict=True):
        width, height = case["width"], case["height"]
        names = [str(n) for n in range(len(json.loads(case["text"])["people"]))]
        placed, _ = read_placements(case["text"], names, width, height)
        preset = case["preset"]
        poses = make_preset(preset, width, height) if preset else np.zeros((0, 18, 3))
        kind = case["bodies"] if case["bodies"] in KINDS else None
        expected = draw_openpose(choose_people(placed, poses, kind, height, 64), width, height)
        drawn = np.zeros_like(expected)
        if part:
            rgba = np.frombuffer(base64.b64decode(part["data"]), np.uint8)
            rgba = rgba.reshape(part["height"], part["width"], 4)
            rows = slice(part["top"], part["top"] + part["height"])
            columns = slice(part["left"], part["left"] + part["width"])
            drawn[rows, columns] = rgba[..., :3] * (rgba[..., 3:] > 0)
        same = (drawn == expected).all(axis=-1)
        lit = drawn.any(axis=-1) | expected.any(axis=-1)
        shares.append(same.mean())
        lit_shares.append(same[lit].mean() if lit.any() else 1)
        for joints, point in heads:
            keypoints = [[joint["x"], joint["y"], 1] if joint else [0, 0, 0] for joint in joints]
            head = find_head(np.array(keypoints, float))
            assert head is not None
            farthest.append(np.hypot(head.point.x - point["x"], head.point.y - point["y"]))
    assert min(shares) >= 0.999
    assert min(lit_shares) >= 0.99
    assert len(farthest) > 300 and max(farthest) <= 0.5


def test_texts_are_read_as_by_the_node():
    got = run_module(
        f"{READ}const reads = (text) => typeof placements.parsePlacements(text) !== 'string'\n"
        "console.log(JSON.stringify(data.map(reads)))",
        TEXTS,
    )
    assert dict(zip(TEXTS, got, strict=True)) == {text: is_read(text) for text in TEXTS}
    assert got.count(True) == 4


def is_read(text: str) -> bool:
    try:
        parse_placements(text, ["Ada", "Bob"])
    except ValueError:
        return False
    return True


def test_what_the_editor_writes_is_read_by_the_node():
    script = (
        "const graph = { ...graph_state.EMPTY_GRAPH_STATE, width: 640, height: 480, count: 3,"
        " names: ['Ada', null, 'Bob'] }\n"
        "const shown = entries.listEntries(placements.readState('', graph), graph)\n"
        "const changes = { 1: { point: { x: 12, y: 34 } }, 2: { placed: false } }\n"
        "const changed = entries.applyChanges(shown, changes, graph)\n"
        "const text = placements.writeState({ placements: changed, extra: {} }, graph)\n"
        "console.log(JSON.stringify([text]))"
    )
    [text] = run_module(script, None)
    points = [placement.point for placement in parse_placements(text, ["Ada", "2", "Bob"]).people]
    assert points == [(107, 168), (12, 34), None]


PEOPLE = [
    "",
    "{",
    "3",
    "[[]]",
    '[{"name": "Anna", "photos": ["a.jpg", {"file": "b.jpg", "face": [0, 1], "weight": 0.5}]}]',
    '{"version": 1, "people": [{"photos": ["a.jpg"], "token_strength": 2, "more": [1]}]}',
    '{"version": 2, "people": []}',
    '[{"name": 3, "photos": ["a.jpg"]}]',
    '[{"photos": [""]}]',
    '[{"photos": [{"file": "a", "face": [2, 0]}]}]',
    '[{"photos": [{"file": "a", "face": [0]}]}]',
    '[{"photos": [{"file": "a", "weight": -1}]}]',
    '[{"photos": [{"file": "a", "weight": 101}]}]',
    '[{"photos": ["a"], "token_strength": true}]',
    '[{"photos": ["a"], "phrase": "red shirt, smiling"}]',
    '[{"photos": ["a"], "phrase": null}]',
]


def test_the_people_are_read_as_the_node_reads_them():
    got = run_module(
        f"{READ}console.log(JSON.stringify(data.map((text) => {{"
        " const { people: read, problem } = people.parsePeople(text);"
        " return problem ? null : read.map(({ name, tokenStrength, photos, phrase }) => [name,"
        " photos.map(({ file, face, weight }) => [file, face, weight]), tokenStrength, phrase])"
        " })))",
        PEOPLE,
    )
    for text, read in zip(PEOPLE, got, strict=True):
        try:
            expected = json.loads(json.dumps(parse_people(text)))
        except ValueError:
            expected = None
        assert read == expected, text


def test_the_face_at_a_point_is_the_one_that_the_node_takes():
    generator = np.random.default_rng(0)
    width, height = 300, 200
    corners = generator.uniform(0, 1, (200, 3, 2)) * (width - 60, height - 40)
    boxes = np.concatenate([corners, corners + generator.uniform(15, 60, (200, 3, 2))], 2)
    points = generator.uniform(0, 1, (200, 2))
    normalised = boxes / (width, height, width, height)
    got = run_module(
        f"{READ}console.log(JSON.stringify(data.map(([boxes, point]) =>"
        f" people.findFaceAt(boxes, point, {width / height}))))",
        list(zip(normalised.tolist(), points.tolist(), strict=True)),
    )
    for case, point, index in zip(boxes, points, got, strict=True):
        faces = [
            Face(tuple(box), np.tile(np.float32([box[0::2].mean(), box[1::2].mean()]), (5, 1)), 1.0)
            for box in case
        ]
        assert index == find_face_at(faces, Point(point[0] * width, point[1] * height))


def test_the_width_of_a_skeletons_face_is_the_same():
    random = np.random.default_rng(5)
    people = random.uniform(0, 900, (60, 18, 3))
    people[..., 2] = random.random((60, 18)) < 0.7
    joints = [
        [{"x": x, "y": y} if seen else None for x, y, seen in person.tolist()] for person in people
    ]
    got = run_module(f"{READ}console.log(JSON.stringify(data.map(small_faces.faceWidth)))", joints)
    eyes = [estimate_eye_distance(person) for person in people]
    expected = [None if one is None else FACE_TO_EYES * one for one in eyes]
    assert expected.count(None) in range(5, 55)
    assert [one is None for one in got] == [one is None for one in expected]
    assert np.allclose(*([one or 0 for one in side] for side in (got, expected)))
