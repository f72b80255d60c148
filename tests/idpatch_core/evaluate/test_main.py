"""The command itself, in processes of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from full_disk import run_on_full_disk
from photos import read_photos, write_volume
from scorers import fetch_recogniser

ROOT = Path(__file__).parents[3]
RESULTS = ("table.txt", "table.csv", "cases.csv", "results.json", "report.html")
PHOTOS = read_photos()


def command(*arguments, launch=()):
    module = ["-m", "idpatch_core.evaluate"]
    own = [sys.executable, *launch] if launch else [sys.executable]
    return [*own, *module, *map(str, arguments), "--scorer", str(fetch_recogniser())]


def run(*arguments, launch=()):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(*arguments, launch=launch),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def start(*arguments):
    return subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def written(folder):
    return {name: (folder / name).read_bytes() for name in RESULTS}


def lines(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("scores*.jsonl"))


def kill_when(process, folder, count):
    """Kill -9 as soon as `count` images are scored."""
    deadline = time.monotonic() + 300
    while lines(folder) < count and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"


@pytest.mark.parametrize(
    ("count", "kills"),
    [(60, (1, 35)), pytest.param(1000, (50, 333, 700, 990), marks=pytest.mark.slow)],
)
def test_killed_at_any_moment_it_resumes_to_the_identical_table(tmp_path, count, kills):
    source = write_volume(tmp_path / "cases", PHOTOS, count, images=20)
    untouched, killed = tmp_path / "untouched", tmp_path / "killed"
    assert run(source, "--out", untouched).returncode == 0
    for scored in kills:
        kill_when(start(source, "--out", killed), killed, scored)
        # A kill may fall into a line; this one does.
        with (killed / "scores-0000.jsonl").open("ab") as file:
            file.write(b'{"key": "torn')
    before = lines(killed)
    assert kills[-1] <= before < count
    assert run(source, "--out", killed).returncode == 0
    assert lines(killed) == count, "an image was scored twice"
    assert written(killed) == written(untouched)


def test_two_processes_give_the_table_of_one(tmp_path):
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    source = write_volume(tmp_path / "cases", PHOTOS, 21, images=12)
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert run(source, "--out", alone).returncode == 0
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    ended = run(source, "--out", together, launch=launch)
    assert ended.returncode == 0, ended.stderr[-2000:]
    shares = sorted(path.read_bytes().count(b"\n") for path in together.glob("scores*.jsonl"))
    assert shares == [10, 11]
    assert written(together) == written(alone)


def test_broken_and_missing_files_are_listed_by_name_and_counted(tmp_path):
    source = write_volume(tmp_path / "cases", PHOTOS, 8, images=8)
    (source.parent / "results" / "2.png").unlink()
    (source.parent / "results" / "5.png").write_bytes(b"broken")
    with source.open("a") as file:
        file.write("{torn\n")
    ended = run(f"ours={source}", "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    for text in (ended.stdout, (tmp_path / "out" / "report.html").read_text()):
        assert "3 of 9 images could not be scored" in text
        assert str(source.parent / "results" / "2.png") in text
        assert str(source.parent / "results" / "5.png") in text
        assert "cases.jsonl, line 9" in text
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    overall = content["rows"][0]
    assert (overall["system"], overall["cases"], overall["problems"]) == ("ours", 9, 3)
    places = sum(len(case["names"]) for case in content["cases"])
    assert overall["metrics"]["association_accuracy"]["count"] == places
    assert content["settings"]["scorer"] == "fr_feature"


def test_two_systems_on_one_list_of_cases_are_compared(tmp_path):
    source = write_volume(tmp_path / "cases", PHOTOS, 8, images=8)
    results = source.parent / "results"
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    for row in rows:
        del row["result"]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        for number, row in enumerate(rows):
            shown = number if folder == ours else (number + 1) % len(rows)  # of other people
            (folder / f"{row['id']}.png").write_bytes((results / f"{shown}.png").read_bytes())
    folders = ["--results", f"ours={ours}", "--results", f"theirs={theirs}"]
    ended = run(source, *folders, "--baseline", "theirs", "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    (line,) = (
        line
        for line in ended.stdout.splitlines()
        if line.startswith("ours - theirs   all  ID-Pos Acc")
    )
    assert line.endswith("better (8 cases)")
    assert "Paired differences" in (tmp_path / "out" / "report.html").read_text()
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {d["system"] for d in content["differences"]} == {"ours"}
    unknown = run(source, *folders, "--baseline", "his", "--out", tmp_path / "out")
    assert unknown.returncode == 2 and "Choose one of ours, theirs" in unknown.stderr
    unnamed = run(source, "--results", ours, "--results", theirs, "--out", tmp_path / "out")
    assert unnamed.returncode == 2 and "give each as SYSTEM=FOLDER" in unnamed.stderr


@pytest.mark.parametrize("size", [400, 5000])  # bytes: too few for a score, for the tables
def test_a_full_disk_is_one_sentence_and_a_rerun_completes(tmp_path, size):
    source = write_volume(tmp_path / "cases", PHOTOS, 2, images=2)
    options = [source, "--out", tmp_path / "out", "--scorer", fetch_recogniser()]
    ended = run_on_full_disk("idpatch_core.evaluate", size, *options)
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert re.match(rf"error: {tmp_path / 'out'}: File too large\. Make room and run", line)
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "out").glob(".*")) == []
    assert run(source, "--out", tmp_path / "out").returncode == 0
    assert lines(tmp_path / "out") == 2
    assert set(written(tmp_path / "out")) == set(RESULTS)


def test_what_cannot_be_run_says_what_to_do(tmp_path):
    ended = run(tmp_path / "nowhere.jsonl")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "no such file" in ended.stderr
    bare = [sys.executable, "-m", "idpatch_core.evaluate", __file__]
    (tmp_path / "cases.jsonl").write_text('{"people": [{"references": "a.jpg"}]}')
    ended = subprocess.run([*bare[:3], str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "--scorer" in ended.stderr
