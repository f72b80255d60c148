"""The editor's pure modules: their own tests, and their agreement with the Python they mirror."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from idpatch_core.layout import ARRANGEMENTS, Point, outside, overlapping, rank_heads
from idpatch_core.placements import parse_placements
from idpatch_core.poses import PRESETS, make_standing
from idpatch_core.skeleton import find_heads

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed (apt: nodejs)")

MODULES = (
    *("entries", "findings", "geometry", "graph_state", "history", "layout", "links"),
    *("placements", "poses"),
)

SIZES = [(1024, 1024), (512, 768), (1344, 768), (200, 1000), (64, 64), (2048, 96), (264, 200)]


def run_module(script: str, data: object) -> list:
    """Run a script with `data` as its input and the pure modules imported under their names."""
    imports = [f"import * as {name} from './web/placer/{name}.js'" for name in MODULES]
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
    names = (*MODULES, "undo_keeper")
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
        " const made = poses.makeStanding(poses.PRESETS[name], { width, height })\n"
        " return [made.flat(), poses.nosesOf(made)]"
        ".map((points) => points.map(({ x, y }) => [x, y]))"
        "})))",
        cases,
    )
    for (name, width, height), (joints, noses) in zip(cases, got, strict=True):
        people = make_standing(PRESETS[name], width, height)
        assert np.allclose(joints, people[..., :2].reshape(-1, 2), rtol=0, atol=1e-9)
        heads, _ = find_heads(people)
        assert np.allclose(noses, [head.point for head in rank_heads(heads)], rtol=0, atol=1e-9)


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
