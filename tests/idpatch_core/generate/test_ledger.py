import json
from pathlib import Path

import pytest
from job_lines import read, row

from idpatch_core import journal
from idpatch_core.evaluate.cases import read_cases
from idpatch_core.generate.ledger import Ledger, format_results, open_ledger


def image_of(job):
    return f"{job.case.id}-{job.key[:12]}.png"


def files_of(ledger, jobs):
    return [name for job in jobs for name in ledger.find_record(job)["files"]]


def test_a_finished_job_is_known_after_a_crash(folder):
    ((a, b), _) = read(folder, row("a"), row("b"))
    ledger = Ledger(folder / "out")
    ledger.record_sent(a, "http://one")
    ledger.save_images(a, [b"png", b"second"], 1.5)
    ledger.record_sent(b, "http://two")
    again = Ledger(folder / "out")  # the first one was never closed
    done = again.find_record(a)
    assert done is not None
    first, second = done["files"]
    assert (first, second) == (f"a-{a.key[:12]}.png", f"a-{a.key[:12]}_1.png")
    assert (folder / "out" / second).read_bytes() == b"second"
    assert again.find_record(b) is None
    assert (again.server_of(a), again.server_of(b)) == ("http://one", "http://two")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"pn")])
def test_a_finished_job_whose_image_is_not_whole_is_made_again(folder, damage):
    ((job,), _) = read(folder, row("a"))
    ledger = Ledger(folder / "out")
    ledger.save_images(job, [b"png"], None)
    assert ledger.find_record(job) is not None
    damage(folder / "out" / image_of(job))
    assert ledger.find_record(job) is None


def test_an_edited_line_never_has_an_old_image(folder):
    ledger = Ledger(folder / "out")
    ((one,), _) = read(folder, row("a", seed=1))
    ledger.save_images(one, [b"seed 1"], None)
    ((two,), _) = read(folder, row("a", seed=2))
    assert ledger.find_record(two) is None
    ledger.save_images(two, [b"seed 2"], None)
    for job, image in ((one, b"seed 1"), (two, b"seed 2")):  # edited back, and again
        record = ledger.find_record(job)
        assert record
        (name,) = record["files"]
        assert (folder / "out" / name).read_bytes() == image


def test_two_images_of_a_job_are_not_those_of_another(folder):
    (jobs, _) = read(folder, row("x"), row("x_1"), row("x-"))
    ledger = Ledger(folder / "out")
    for job in jobs:
        ledger.save_images(job, [job.case.id.encode(), b"second of " + job.case.id.encode()], None)
    contents = [(folder / "out" / name).read_bytes() for name in files_of(ledger, jobs)]
    assert contents == [b"x", b"second of x", b"x_1", b"second of x_1", b"x-", b"second of x-"]


@pytest.mark.parametrize("letter", ["a", "安", "😀", "/", "."])
@pytest.mark.parametrize("count", [240, 250, 3000])
def test_a_long_id_is_saved(folder, letter, count):
    (jobs, problems) = read(folder, row(letter * count), row(letter * (count + 1)))
    assert problems == []
    ledger = Ledger(folder / "out")
    for job in jobs:
        ledger.save_images(job, [job.case.id.encode()], None)
    contents = [(folder / "out" / name).read_text() for name in files_of(ledger, jobs)]
    assert contents == [letter * count, letter * (count + 1)]


def test_records_of_no_use_are_passed_over(folder):
    ((job,), _) = read(folder, row("a"))
    with journal.Journal(folder / "out" / "journal.jsonl") as log:
        for record in ({"event": "sent"}, {"event": "done", "key": job.key}, {"event": "done"}):
            log.append(record)
    assert Ledger(folder / "out").find_record(job) is None


def test_two_runs_do_not_write_to_one_folder(folder):
    with open_ledger(folder / "out"), pytest.raises(ValueError, match=r"--out: another run.*out"):
        open_ledger(folder / "out").__enter__()
    with open_ledger(folder / "out") as ledger:
        assert isinstance(ledger, Ledger)


def test_what_a_killed_run_left_of_an_image_is_removed(folder):
    (folder / "out").mkdir()
    (folder / "out" / ".a.png.123.part").write_bytes(b"pn")
    Ledger(folder / "out")
    assert list((folder / "out").glob(".*")) == []


def test_ids_that_are_not_file_names_stay_apart(folder):
    ((a, b), _) = read(folder, row("x/../y"), row("x_.._y"))
    ledger = Ledger(folder / "out")
    for job in (a, b):
        ledger.save_images(job, [job.case.id.encode()], None)
    made = {path.read_text() for path in (folder / "out").glob("*.png")}
    assert made == {"x/../y", "x_.._y"}
    assert ledger.find_record(a) != ledger.find_record(b)


def test_results_are_cases_to_evaluate(folder):
    ((a, b), _) = read(folder, row("a", prompt="words", system="mine"), row("b"))
    ledger = Ledger(folder / "out")
    ledger.save_images(a, [b"png", b"png"], 2.5)
    text = format_results([a, b], ledger, folder / "out", folder)
    (folder / "out" / "results.jsonl").write_text(text)
    first, second = read_cases(folder / "out")
    assert (first.id, second.id, first.system, first.seconds) == ("a", "a#1", "mine", 2.5)
    assert first.people[0].references == (folder / "ada.jpg",)
    assert second.result == folder / "out" / f"a-{a.key[:12]}_1.png"
    assert json.loads(text.split("\n")[0])["seed"] == a.row["seed"]


def test_a_separator_of_unicode_in_a_text_is_no_end_of_a_line(folder):
    ((job,), _) = read(folder, row("a", prompt="a\u2028b\x85c"))
    ledger = Ledger(folder / "out")
    ledger.save_images(job, [b"png"], 1.0)
    text = format_results([job], ledger, folder / "out", folder)
    (folder / "out" / "results.jsonl").write_text(text)
    (case,) = read_cases(folder / "out")
    assert (case.problem, case.prompt) == (None, "a\u2028b\x85c")
    assert len(text.splitlines()) == 1
