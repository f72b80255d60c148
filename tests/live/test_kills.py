"""`python -m idpatch_core.generate` and its servers, killed at random moments.

The number of kills is IDPATCH_KILLS (default: 8). The servers speak ComfyUI's protocol and compute
next to nothing; `test_generate.py` kills a run beside a real ComfyUI.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import comfy_protocol
import pytest

from idpatch_core import journal
from idpatch_core.comfyui.group_photo import PersonPhotos, fill_template
from idpatch_core.comfyui.server import free_port, wait_until_up
from idpatch_core.comfyui.uploads import hash_content
from idpatch_core.comfyui.workflows import load_workflow

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "tests" / "data" / "photos"
KILLS = int(os.environ.get("IDPATCH_KILLS", "8"))
SECONDS = 0.05  # of a photo
PATIENCE = 300.0  # seconds until a run that was started has made a photo
PEOPLE = {"Eileen": "collins.jpg", "Barack": "obama.jpg"}


class Protocol:
    """A server of `comfy_protocol` at one address, which can be killed and started again."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{self.port}.log"
        self.start()

    def start(self):
        arguments = [str(self.port), str(SECONDS), str(self.log)]
        command = [sys.executable, comfy_protocol.__file__, *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until_up(self.url, self.process, self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def notes(self, event):
        return [note for note in journal.read(self.log) if note["event"] == event]


@pytest.fixture
def servers(tmp_path):
    servers = [Protocol(tmp_path) for _ in range(2)]
    yield servers
    for server in servers:
        server.kill()


def write_photos(folder, count, faults=()):
    people = [{"name": name, "references": [str(PHOTOS / file)]} for name, file in PEOPLE.items()]
    rows = [
        {"id": f"photo {n}", "prompt": "fault" if n in faults else "two", "people": people}
        for n in range(count)
    ]
    path = folder / "photos.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def start(photos, servers):
    command = [sys.executable, "-m", "idpatch_core.generate", str(photos), "--wait", "60"]
    command += ["--out", str(photos.with_name("out"))]
    for server in servers:
        command += ["--server", server.url]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, **output)


def expected_image(row, file):
    """Return the image of a line as the server makes it: from its graph, and from nothing else."""
    people = [
        PersonPhotos(name, [f"idpatch-{hash_content((PHOTOS / photo).read_bytes())[:16]}.jpg"])
        for name, photo in PEOPLE.items()
    ]
    key = Path(file).stem.rpartition("-")[2]
    template, _ = load_workflow("group_photo")
    graph = fill_template(
        template, people, None, row["prompt"], None, row["seed"], prefix=f"idpatch/{key}"
    )
    return comfy_protocol.image_of(graph)


def check_whole(out):
    """Check that each image is whole and the right one, also beside a run that was killed."""
    done = [r for r in journal.read(out / "journal.jsonl") if r["event"] == "done"]
    assert len({record["key"] for record in done}) == len(done), "a photo was made twice"
    recorded = {name: record for record in done for name in record["files"]}
    for path in out.glob("*.png"):
        seed = recorded[path.name]["seed"] if path.name in recorded else None
        if seed is not None:
            row = {"prompt": "two", "seed": seed}
            assert path.read_bytes() == expected_image(row, path.name), path.name
    assert all((out / name).is_file() for name in recorded)
    return done


def check_finished(out, ids):
    done = check_whole(out)
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ids
    assert sorted(record["id"] for record in done) == sorted(ids)
    assert {path.name for path in out.glob("*.png")} == {row["result"] for row in rows}
    assert len({row["seed"] for row in rows}) == len(rows)
    assert list(out.glob("*.part")) == list(out.glob(".*.part")) == []


def test_a_run_that_is_killed_at_random_moments_makes_each_photo_once(tmp_path, servers):
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    count = 12 * KILLS + 10
    photos = write_photos(tmp_path, count)
    out = tmp_path / "out"
    process = start(photos, servers)
    process.communicate(timeout=60) if KILLS == 0 else None
    for number in range(KILLS):
        begun = len(journal.read(out / "journal.jsonl"))
        deadline = time.monotonic() + PATIENCE
        # At first after anything was written, since starting takes most of the time.
        while number % 4 and len(journal.read(out / "journal.jsonl")) == begun:
            assert process.poll() is None and time.monotonic() < deadline, f"seed {seed}"
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.4 if number % 4 else 1.2))
        assert process.poll() is None, f"it ended before it was killed (seed {seed})"
        process.kill()
        process.communicate()
        check_whole(out)
        process = start(photos, servers)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert f"{count} of {count} photos" in output
    check_finished(out, [f"photo {number}" for number in range(count)])
    ran = Counter(note["id"] for server in servers for note in server.notes("start"))
    assert len(ran) == count and set(ran.values()) == {1}, f"made twice (seed {seed})"


def test_a_server_that_is_killed_and_started_again_is_used_again(tmp_path, servers):
    count, faults = 400, set(range(0, 400, 20))
    photos = write_photos(tmp_path, count, faults)
    process = start(photos, servers)
    flaky, steady = servers
    made: list[int] = []  # by the server, until it was killed each time
    restarts = threading.Thread(target=restart, args=(flaky, 5, process, made))
    while not steady.notes("start"):
        assert process.poll() is None
        time.sleep(0.01)
    restarts.start()
    output, errors = process.communicate(timeout=300)
    restarts.join()
    assert process.returncode == 1, errors
    assert f"{count - len(faults)} of {count} photos" in output
    assert errors.count("not made: photo ") == len(faults)
    assert f"{flaky.url} does not answer" in errors and f"{flaky.url} answers again" in errors
    assert steady.url not in errors
    good = [f"photo {number}" for number in range(count) if number not in faults]
    check_finished(tmp_path / "out", good)
    assert len(flaky.notes("end")) > made[0], "it was not used again"
    notes = sorted(steady.notes("start") + steady.notes("end"), key=lambda note: note["at"])
    busy = sum(
        end["at"] - begin["at"]
        for begin, end in zip(steady.notes("start"), steady.notes("end"), strict=True)
    )
    share = busy / (notes[-1]["at"] - notes[0]["at"])
    print(f"the server that stayed was busy for {share:.1%} of the time")
    assert share > 0.6  # 95 % and more with photos that take seconds


def restart(server, times, process, made):
    """Kill a server that has made some photos, and start it again, so many times."""
    for number in range(times):
        used = len(server.notes("end"))
        while len(server.notes("end")) < used + 8 and process.poll() is None:
            time.sleep(random.uniform(0.0, 0.1))
        server.kill()
        made.append(len(server.notes("end")))
        # Shorter, and longer than a client waits before it connects again.
        time.sleep(1.5 if number % 2 else random.uniform(0.0, 0.3))
        server.start()
