import json

import numpy as np
import pytest

from idpatch_core.generate.jobs import Ledger, pose_picture, read_jobs, results

TEMPLATE = {"1": {"class_type": "KSampler", "inputs": {"seed": 1}}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ada.jpg").write_bytes(b"a face")
    return tmp_path


def row(id, **more):
    return {"id": id, "people": [{"name": "Ada", "references": "ada.jpg"}], **more}


def read(folder, *rows, template=TEMPLATE):
    path = folder / "photos.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return read_jobs(path, template)


def test_a_job_has_the_same_key_until_something_changes(folder):
    ((job,), _) = read(folder, row("a"))
    assert read(folder, row("a"))[0][0].key == job.key
    keys = {job.key}
    keys.add(read(folder, row("b"))[0][0].key)
    keys.add(read(folder, row("a", seed=2))[0][0].key)
    keys.add(read(folder, row("a"), template={"1": {"class_type": "x", "inputs": {}}})[0][0].key)
    (folder / "ada.jpg").write_bytes(b"another face")
    keys.add(read(folder, row("a"))[0][0].key)
    assert len(keys) == 5


def test_what_cannot_be_made_is_named(folder):
    missing = row("b") | {"people": [{"references": "gone.jpg"}]}
    jobs, problems = read(folder, row("a"), missing, "{torn", row("a"))
    assert [job.case.id for job in jobs] == ["a"]
    assert [problem.split(":")[0] for problem in problems] == ["b", "photos.jsonl, line 3", "a"]
    assert "gone.jpg" in problems[0]


def test_a_finished_job_is_known_after_a_crash(folder):
    ((a, b), _) = read(folder, row("a"), row("b"))
    ledger = Ledger(folder / "out")
    ledger.send(a, "http://one")
    ledger.finish(a, [b"png", b"second"], 1.5)
    ledger.send(b, "http://two")
    again = Ledger(folder / "out")  # the first one was never closed
    done = again.done(a)
    assert done is not None
    assert done["files"] == ["a.png", "a_1.png"]
    assert (folder / "out" / "a_1.png").read_bytes() == b"second"
    assert again.done(b) is None
    assert (again.server_of(a), again.server_of(b)) == ("http://one", "http://two")


def test_a_finished_job_whose_picture_went_is_made_again(folder):
    ((job,), _) = read(folder, row("a"))
    ledger = Ledger(folder / "out")
    ledger.finish(job, [b"png"], None)
    (folder / "out" / "a.png").unlink()
    assert ledger.done(job) is None


def test_ids_that_are_no_file_names_stay_apart(folder):
    ((a, b), _) = read(folder, row("x/../y"), row("x_.._y"))
    ledger = Ledger(folder / "out")
    for job in (a, b):
        ledger.finish(job, [job.case.id.encode()], None)
    made = {path.read_text() for path in (folder / "out").glob("*.png")}
    assert made == {"x/../y", "x_.._y"}
    assert ledger.done(a) != ledger.done(b)


def test_results_are_cases_to_evaluate(folder):
    from idpatch_core.evaluate.cases import read_cases

    ((a, b), _) = read(folder, row("a", prompt="words", system="mine"), row("b"))
    ledger = Ledger(folder / "out")
    ledger.finish(a, [b"png", b"png"], 2.5)
    text = results([a, b], ledger, folder / "out", folder)
    (folder / "out" / "results.jsonl").write_text(text)
    first, second = read_cases(folder / "out")
    assert (first.id, second.id, first.system, first.seconds) == ("a", "a#1", "mine", 2.5)
    assert first.people[0].references == (folder / "ada.jpg",)
    assert second.result == folder / "out" / "a_1.png"


def test_people_stand_at_their_points_in_the_drawn_pose(folder):
    people = [{"references": "ada.jpg", "point": point} for point in ([50, 30], [150, 30])]
    ((job,), _) = read(folder, {"id": "a", "people": people, "width": 200, "height": 160})
    drawn = pose_picture(job.case, job.row, folder)
    assert drawn is not None
    assert drawn.shape == (160, 200, 3)
    for x in (50, 150):
        assert drawn[30, x].any()
    assert not np.any(drawn[:, 96:104])


def test_without_size_or_points_nothing_is_drawn(folder):
    ((job,), _) = read(folder, row("a", width=200, height=160))
    assert pose_picture(job.case, job.row, folder) is None
