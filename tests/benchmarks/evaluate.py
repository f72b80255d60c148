"""Measures peak memory, time and size of the report of `evaluate` on many synthetic results.

    python tests/benchmarks/evaluate.py [--images 1000 10000 100000] [--seed 0] [--browser]

The scores are drawn at random and saved as a finished run leaves them, for two systems with half of
the images each; the command then reads all cases, finds every score, and writes the tables, the
paired differences and the report, in a process of its own. `--browser` opens the report in Chromium
and prints the time until it has been drawn.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]
from idpatch_core.evaluate.cases import read_cases  # noqa: E402
from idpatch_core.evaluate.scoring import fingerprint_case  # noqa: E402
from idpatch_core.face_detector import Face  # noqa: E402
from idpatch_core.layout import Point  # noqa: E402
from idpatch_core.verification.scorer import FaceScorer  # noqa: E402
from idpatch_core.verification.verdict import verdict_to_json, verify_image  # noqa: E402

SCORER = ROOT / "idpatch_core" / "demo" / "models" / "scorer.safetensors"
THRESHOLD = 0.35
WIDTH, HEIGHT = 1024, 768
TEMPLATES = 200  # different results


def draw_verdict(random: np.random.Generator) -> dict:
    """Return the JSON of a verdict on two to six people, of whom some are missing or swapped."""
    people = int(random.integers(2, 7))
    points = [Point((i + 0.5) * WIDTH / people, HEIGHT / 2) for i in range(people)]
    references = random.normal(size=(people, 64))
    shown = [i for i in range(people) if random.random() > 0.05]
    faces = []
    for i in shown:
        x, y = points[i]
        keypoints = np.array(
            [[x - 9, y - 9], [x + 9, y - 9], [x, y], [x - 7, y + 9], [x + 7, y + 9]]
        )
        faces.append(Face((x - 30, y - 40, x + 30, y + 40), keypoints.astype(np.float32), 0.9))
    found = random.permutation(shown) if random.random() < 0.2 else np.array(shown, int)
    embeddings = references[found] + random.normal(size=(len(shown), 64))
    verdict = verify_image(
        np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        [f"person {i}" for i in range(people)],
        references,
        points,
        lambda _: faces,
        FaceScorer("synthetic", lambda _: embeddings, THRESHOLD, False),
    )
    return verdict_to_json(verdict)


def write_run(folder: Path, images: int, seed: int) -> list[str]:
    """Write cases and scores of a finished run; return the command's arguments."""
    random = np.random.default_rng(seed)
    verdicts = [draw_verdict(random) for _ in range(TEMPLATES)]
    settings = read_settings()
    sources = []
    (folder / "out").mkdir()
    with (folder / "out" / "scores-0000.jsonl").open("w") as scores:
        for system in ("ours", "theirs"):
            chosen = np.random.default_rng(seed).integers(TEMPLATES, size=images // 2)
            file = folder / f"{system}.jsonl"
            with file.open("w") as lines:
                for number, template in enumerate(chosen):
                    people = verdicts[template]["people"]
                    rows = [
                        {"name": p["name"], "references": [f"{number}-{p['name']}.jpg"]}
                        | {"point": p["point"]}
                        for p in people
                    ]
                    row = {"id": f"{number:06}", "prompt": "a group", "people": rows}
                    row |= {"width": WIDTH, "height": HEIGHT, "result": f"{system}/{number}.png"}
                    lines.write(json.dumps(row) + "\n")
            for case, template in zip(read_cases(file, system), chosen, strict=True):
                shift = int(random.integers(TEMPLATES)) if system == "theirs" else int(template)
                verdict = verdicts[shift]
                if len(verdict["people"]) != len(case.people):
                    verdict = verdicts[template]
                record = {
                    "key": fingerprint_case(case, settings),
                    "id": case.id,
                    "system": system,
                    "names": [person.name for person in case.people],
                    "placed": [True] * len(case.people),
                    "result": str(case.result),
                    "references": [str(person.references[0]) for person in case.people],
                    "prompt": case.prompt,
                    "seconds": 1.0,
                    "verdict": verdict,
                    "size": [WIDTH, HEIGHT],
                    "note": "",
                }
                scores.write(json.dumps(record) + "\n")
            sources.append(f"{system}={file}")
    return [*sources, "--baseline", "theirs", "--out", str(folder / "out")]


def read_settings() -> dict:
    from idpatch_core.evaluate.__main__ import load_evaluators, parse_arguments

    (evaluators,) = load_evaluators(parse_arguments(["-", *scorer_options()]))
    return evaluators.settings


def scorer_options() -> list[str]:
    return ["--face-model", str(SCORER), "--threshold", str(THRESHOLD)]


def measure(images: int, seed: int, browser: bool) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = write_run(folder, images, seed)
        before = (folder / "out" / "scores-0000.jsonl").stat().st_size
        command = [sys.executable, __file__, "--run", *arguments, *scorer_options()]
        begin = time.perf_counter()
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - begin
        if (folder / "out" / "scores-0000.jsonl").stat().st_size != before:
            raise RuntimeError("the saved scores were not found")
        memory = int(ended.stderr.rsplit("peak ", 1)[1])
        report = folder / "out" / "report.html"
        opened = f" {open_in_browser(report):6.1f}" if browser else ""
        size = report.stat().st_size / 1e6
        return f"{images:8} {seconds:9.0f} {memory / 1e6:9.2f} {size:9.2f}{opened}"


def open_in_browser(page_file: Path) -> float:
    from playwright.sync_api import sync_playwright

    sys.path[:0] = [str(ROOT / "tests" / "support")]
    from editor_page import CHROMIUM, FLAGS

    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as chromium,
    ):
        page = chromium.new_page()
        begin = time.perf_counter()
        page.goto(page_file.as_uri(), wait_until="load", timeout=300_000)
        page.screenshot()
        return time.perf_counter() - begin


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        from idpatch_core.evaluate.__main__ import main as evaluate

        code = evaluate(sys.argv[2:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"peak {peak}", file=sys.stderr)
        sys.exit(code)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    print("  images   seconds peak (GB) HTML (MB)" + " browser (s)" * options.browser)
    for images in options.images:
        print(measure(images, options.seed, options.browser), flush=True)


if __name__ == "__main__":
    main()
