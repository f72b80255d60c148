"""`python -m idpatch_core.generate` against a live ComfyUI, killed, resumed and on Ray."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from full_disk import run_on_full_disk
from live_workflow import PHOTOS, png_bytes, standin_workflow
from PIL import Image

from idpatch_core import journal
from idpatch_core.comfyui.environment import find_comfyui

ROOT = Path(__file__).parents[2]
PEOPLE = {"Eileen": "collins.jpg", "Barack": "obama.jpg"}


@pytest.fixture
def photos(tmp_path):
    """Write four group photos to make, and the workflow with stand-in models."""
    graph = standin_workflow("pose_free", steps=1)
    (tmp_path / "workflow.json").write_text(json.dumps(graph))
    rows = [
        {
            "id": f"photo {number}",
            "prompt": "people",
            "seed": number + 1000 * int.from_bytes(os.urandom(4), "big"),
            "width": 128,
            "height": 64,
            "people": [
                {"name": name, "references": [str(PHOTOS / file)], "point": [32 + 64 * i, 32]}
                for i, (name, file) in enumerate(PEOPLE.items())
            ],
        }
        for number in range(4)
    ]
    path = tmp_path / "photos.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def command(photos, *arguments):
    return [
        *[sys.executable, "-m", "idpatch_core.generate", str(photos)],
        *["--workflow", str(photos.with_name("workflow.json"))],
        *["--out", str(photos.with_name("out")), *arguments],
    ]


def run(photos, *arguments, **environment):
    return subprocess.run(
        command(photos, *arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )


def events(photos):
    return journal.read(photos.with_name("out") / "journal.jsonl")


def ran(server):
    """How often the server ran each prompt it knows."""
    history = server.client._get("/history?max_items=1000")
    return Counter(history.keys())


def results(photos):
    lines = (photos.with_name("out") / "results.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def check_all_made(photos):
    out, rows = photos.with_name("out"), results(photos)
    assert [row["id"] for row in rows] == [f"photo {number}" for number in range(4)]
    for row in rows:
        assert Image.open(out / row["result"]).size == (128, 64)
        assert row["seconds"] > 0
    return rows


def test_every_photo_is_made_once_and_a_second_run_makes_none(comfy_server, photos):
    before = len(ran(comfy_server))
    uploaded = comfy_server.base / "input"
    for path in uploaded.glob("idpatch-*"):
        path.unlink()
    ended = run(photos, "--server", comfy_server.url)
    assert ended.returncode == 0, ended.stderr
    assert "4 of 4 photos" in ended.stdout
    assert "4/4" in ended.stderr
    check_all_made(photos)
    assert len(ran(comfy_server)) == before + 4
    suffixes = sorted(path.suffix for path in uploaded.glob("idpatch-*"))
    assert suffixes == [".jpg", ".jpg"], "a photo was uploaded more than once"
    again = run(photos, "--server", comfy_server.url)
    assert again.returncode == 0
    assert len(ran(comfy_server)) == before + 4
    assert len(events(photos)) == 8


def test_people_are_encoded_once_for_all_photos(comfy_server, photos):
    assert run(photos, "--server", comfy_server.url).returncode == 0
    history = comfy_server.client._get("/history?max_items=4")
    workflow = json.loads(photos.with_name("workflow.json").read_text())
    kinds = ("IDPatchFaceEncoder", "IDPatchPeople")
    encoders = {id for id, node in workflow.items() if node["class_type"] in kinds}
    assert encoders
    cached = [
        set(data["nodes"]) & encoders
        for record in history.values()
        for kind, data in record["status"]["messages"]
        if kind == "execution_cached"
    ]
    assert cached[1:] == [encoders] * 3


def kill_when(photos, server, condition):
    process = subprocess.Popen(
        command(photos, "--server", server.url),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while not condition() and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_run_resumes_without_making_anything_twice(comfy_server, photos):
    before = len(ran(comfy_server))

    def sent(count):
        return lambda: sum(event["event"] == "sent" for event in events(photos)) >= count

    def queued():
        (last,) = [event for event in events(photos) if event["event"] == "sent"][-1:]
        return comfy_server.client.is_queued(last["prompt_id"])

    # Once just after the record, perhaps before the server got the job, and once while it runs.
    kill_when(photos, comfy_server, sent(1))
    kill_when(photos, comfy_server, lambda: sent(3)() and queued())
    with (photos.with_name("out") / "journal.jsonl").open("ab") as file:
        file.write(b'{"event": "done", "key": "to')
    ended = run(photos, "--server", comfy_server.url)
    assert ended.returncode == 0, ended.stderr
    check_all_made(photos)
    assert len(ran(comfy_server)) == before + 4, "a photo was made twice"
    done = Counter(event["key"] for event in events(photos) if event["event"] == "done")
    assert set(done.values()) == {1}


def test_a_photo_that_cannot_be_made_is_named_and_the_others_are(comfy_server, photos):
    blank = png_bytes(np.full((64, 64, 3), 128, np.uint8))
    photos.with_name("blank.png").write_bytes(blank)
    rows = [json.loads(line) for line in photos.read_text().splitlines()]
    rows[1]["people"][0]["references"] = ["blank.png"]
    rows[2]["people"][1]["references"] = ["gone.png"]
    photos.write_text("\n".join(map(json.dumps, rows)))
    ended = run(photos, "--server", comfy_server.url)
    assert ended.returncode == 1
    assert "2 of 4 photos" in ended.stdout
    assert re.search(r"not made: photo 1: .*no face was found", ended.stderr)
    assert re.search(r"not made: photos\.jsonl, line 3: .*gone\.png", ended.stderr)


def test_an_edited_line_never_has_the_old_image(comfy_server, photos):
    rows = [json.loads(photos.read_text().splitlines()[0])]
    made = []
    for seed in (rows[0]["seed"], 7, rows[0]["seed"], None):
        photos.write_text(json.dumps(rows[0] | {"seed": seed}))
        assert run(photos, "--server", comfy_server.url).returncode == 0
        (result,) = results(photos)
        prompt = json.loads(Image.open(photos.with_name("out") / result["result"]).info["prompt"])
        seeds = [node["inputs"]["seed"] for node in prompt.values() if "seed" in node["inputs"]]
        made.append((result["result"], seeds))
        assert seeds == [result["seed"]] and seed in (None, result["seed"])
    assert made[0] == made[2]
    assert len({name for name, _ in made}) == 3


def test_a_photo_that_is_deleted_from_the_queue_does_not_stop_the_others(comfy_server, photos):
    process = subprocess.Popen(
        command(photos, "--server", comfy_server.url),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deleted, sent = None, {}
    while deleted is None:
        assert process.poll() is None, "it ended before a photo was deleted"
        pending = comfy_server.client._get("/queue")["queue_pending"]
        sent = {event["prompt_id"]: event["id"] for event in events(photos)}
        deleted = next((entry[1] for entry in pending if entry[1] in sent), None)
    comfy_server.client.cancel(deleted)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    name = sent[deleted]
    assert f"not made: {name}: The prompt was deleted from the queue." in errors
    assert name not in {row["id"] for row in results(photos)} and len(results(photos)) == 3
    assert run(photos, "--server", comfy_server.url).returncode == 0
    check_all_made(photos)


@pytest.mark.parametrize("size", [300, 3000])  # bytes: the journal is cut, or an image
def test_a_full_disk_is_one_sentence_and_a_rerun_completes(comfy_server, photos, size):
    before = len(ran(comfy_server))
    arguments = command(photos, "--server", comfy_server.url)[3:]
    ended = run_on_full_disk("idpatch_core.generate", size, *arguments)
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert re.match(r"error: .*: File too large\. Make room and run the same command", line)
    assert "Traceback" not in ended.stderr
    out = photos.with_name("out")
    assert [path.name for path in out.glob(".*") if path.name != ".lock"] == []
    ended = run(photos, "--server", comfy_server.url)
    assert ended.returncode == 0, ended.stderr
    check_all_made(photos)
    assert len(ran(comfy_server)) == before + 4, "a photo was made twice"


def test_a_server_that_is_not_there_leaves_its_photos_to_the_others(comfy_server, photos):
    ended = run(photos, "--server", "http://127.0.0.1:9", "--server", comfy_server.url)
    assert ended.returncode == 0, ended.stderr
    assert "http://127.0.0.1:9 does not answer" in ended.stderr
    check_all_made(photos)
    alone = run(photos.rename(photos.with_name("p.jsonl")), "--server", "http://127.0.0.1:9")
    assert alone.returncode == 0, "all photos were made already"


def test_no_server_at_all_is_an_error(photos):
    ended = run(photos, "--server", "http://127.0.0.1:9", "--wait", "2")
    assert ended.returncode == 2
    assert "No server answers any more; 4 photos are not made" in ended.stderr


def test_two_ray_workers_share_the_photos(comfy_server, photos):
    pytest.importorskip("ray", reason="Ray is not installed")
    before = len(ran(comfy_server))
    two = [
        "--server",
        comfy_server.url,
        "--server",
        comfy_server.url.replace("127.0.0.1", "localhost"),
    ]
    ended = run(photos, "--ray", *two, RAY_NUM_CPUS="2")
    assert ended.returncode == 0, ended.stderr
    check_all_made(photos)
    assert len(ran(comfy_server)) == before + 4
    used = {event["server"] for event in events(photos) if event["event"] == "sent"}
    assert len(used) == 2, "one worker did all jobs"


@pytest.mark.slow
def test_ray_workers_start_their_own_comfyui(comfy_server, photos):
    pytest.importorskip("ray", reason="Ray is not installed")
    arguments = f"--cpu --base-directory {comfy_server.base}"
    own = ["--ray", "--comfyui", str(find_comfyui()), "--workers", "2", "--gpus", "0"]
    ended = run(photos, *own, COMFYUI_ARGUMENTS=arguments)
    assert ended.returncode == 0, ended.stderr
    check_all_made(photos)


def test_the_same_photo_from_the_same_seed_is_the_same(comfy_server, photos):
    rows = [json.loads(line) for line in photos.read_text().splitlines()][:1]
    photos.write_text("\n".join(json.dumps({**rows[0], "id": id}) for id in ("a", "b")))
    assert run(photos, "--server", comfy_server.url).returncode == 0
    a, b = (np.asarray(Image.open(photos.with_name("out") / r["result"])) for r in results(photos))
    assert np.array_equal(a, b)
