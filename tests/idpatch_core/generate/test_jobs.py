import json

import numpy as np
import pytest
from job_lines import TEMPLATE, read, row

from idpatch_core.generate.jobs import MAX_SEED, draw_pose, read_jobs

BODY = {"pose_keypoints_2d": [50, 20, 1] * 18}
FRAME = {"canvas_width": 100, "canvas_height": 50, "people": [BODY]}


def test_a_job_has_the_same_key_until_something_changes(folder):
    (folder / "pose.json").write_text(json.dumps(FRAME))
    posed = row("a", pose="pose.json", width=200, height=100)
    keys = [read(folder, row("a"))[0][0].key, read(folder, posed)[0][0].key]
    assert keys == [read(folder, row("a"))[0][0].key, read(folder, posed)[0][0].key]
    keys.append(read(folder, row("b"))[0][0].key)
    keys.append(read(folder, row("a", seed=2))[0][0].key)
    keys.append(read(folder, row("a"), template={"1": {"class_type": "x", "inputs": {}}})[0][0].key)
    (folder / "pose.json").write_text(json.dumps(FRAME | {"canvas_width": 101}))
    keys.append(read(folder, posed)[0][0].key)
    (folder / "ada.jpg").write_bytes(b"another face")
    keys.append(read(folder, row("a"))[0][0].key)
    assert len(set(keys)) == 7


def test_a_photo_is_read_once_whoever_needs_it(folder, monkeypatch):
    reads = []
    read_bytes = type(folder).read_bytes
    monkeypatch.setattr(
        type(folder), "read_bytes", lambda path: reads.append(path.name) or read_bytes(path)
    )
    jobs, _ = read(folder, *(row(str(number)) for number in range(9)))
    assert len(jobs) == 9
    assert reads.count("ada.jpg") == 1
    assert len({job.digests for job in jobs}) == 1


def test_a_heic_reference_costs_its_line_and_says_what_to_do(folder):
    (folder / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    heic = {"id": "b", "people": [{"name": "Ben", "references": "phone.jpg"}]}
    jobs, problems = read(folder, row("a"), heic, row("c"))
    assert [job.case.id for job in jobs] == ["a", "c"]
    assert problems == [
        "photos.jsonl, line 2: phone.jpg: it is a HEIC image, which is not read here. Save it as "
        "JPEG or PNG."
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("b") | {"people": [{"references": "gone.jpg"}]}, "gone.jpg: No such file"),
        (row("b") | {"people": [{"references": "."}]}, "Is a directory"),
        (row("b") | {"people": [{"references": "x" * 300 + ".jpg"}]}, "File name too long"),
        (row("b") | {"people": [{"references": 5}]}, "references"),
        (row("b", pose="gone.json", width=64, height=64), "gone.json"),
        ("{torn", "not JSON"),
        ('{"width": 1e999}', "finite"),
        ("[" * 60_000, "deep"),
        (row("a"), "line 1 has the \"id\" 'a' too"),
        (row("b", seed=-1), f'"seed": expected a whole number from 0 to {MAX_SEED}, got -1'),
        (row("b", seed=1.5), '"seed"'),
        (row("b", seed=True), '"seed"'),
        (row("b", seed="7"), '"seed"'),
        (row("b", negative=7), '"negative": expected a text, got 7'),
        (row("b", prompt=["x"]), '"prompt": expected a text'),
        (row("b", width=0, height=64), '"width"'),
        (row("b", width=8, height=64), '"width" and "height": expected 64 to 16384 pixels'),
        (row("b", width=10**5, height=64), '"width" and "height": expected 64 to 16384 pixels'),
    ],
)
def test_a_line_that_cannot_be_made_is_named_and_costs_only_itself(folder, bad, message):
    jobs, problems = read(folder, row("a"), bad, row("c"))
    assert [job.case.id for job in jobs] == ["a", "c"]
    (problem,) = problems
    assert problem.startswith("photos.jsonl, line 2: ")
    assert message in problem and "\n" not in problem


def test_each_job_has_a_seed_of_its_own(folder):
    jobs, _ = read(folder, row("a"), row("b"), row("c", seed=5), row("d", seed=None), row("e"))
    seeds = [job.row["seed"] for job in jobs]
    assert len(set(seeds)) == 5 and seeds[2] == 5
    assert all(0 <= seed < 2**53 for seed in seeds)
    again, _ = read(folder, row("e", prompt="another"), row("a"))
    assert [job.row["seed"] for job in again] == [seeds[4], seeds[0]]


def test_a_prompt_id_is_a_canonical_uuid_that_follows_the_key(folder):
    ((a, b), _) = read(folder, row("a"), row("b"))
    assert a.prompt_id == read(folder, row("a"))[0][0].prompt_id != b.prompt_id
    assert a.prompt_id == a.prompt_id.lower() and len(a.prompt_id) == 36


def test_a_file_in_utf_16_is_refused(folder):
    (folder / "photos.jsonl").write_text(json.dumps(row("a")), "utf-16")
    with pytest.raises(ValueError, match=r"photos\.jsonl is in UTF-16"):
        read_jobs(folder / "photos.jsonl", TEMPLATE)


def test_people_stand_at_their_points_in_the_drawn_pose(folder):
    people = [{"references": "ada.jpg", "point": point} for point in ([50, 30], [150, 30])]
    ((job,), _) = read(folder, {"id": "a", "people": people, "width": 200, "height": 160})
    drawn = draw_pose(job.case, job.row, folder)
    assert drawn is not None
    assert drawn.shape == (160, 200, 3)
    for x in (50, 150):
        assert drawn[30, x].any()
    assert not np.any(drawn[:, 96:104])


def test_without_size_or_points_nothing_is_drawn(folder):
    ((job,), _) = read(folder, row("a", width=200, height=160))
    assert draw_pose(job.case, job.row, folder) is None
