from job_lines import read, row

from idpatch_core.evaluate.cases import read_cases
from idpatch_core.generate.ledger import Ledger, format_results


def test_a_finished_job_is_known_after_a_crash(folder):
    ((a, b), _) = read(folder, row("a"), row("b"))
    ledger = Ledger(folder / "out")
    ledger.record_sent(a, "http://one")
    ledger.save_images(a, [b"png", b"second"], 1.5)
    ledger.record_sent(b, "http://two")
    again = Ledger(folder / "out")  # the first one was never closed
    done = again.find_record(a)
    assert done is not None
    assert done["files"] == ["a.png", "a_1.png"]
    assert (folder / "out" / "a_1.png").read_bytes() == b"second"
    assert again.find_record(b) is None
    assert (again.server_of(a), again.server_of(b)) == ("http://one", "http://two")


def test_a_finished_job_whose_image_is_missing_is_made_again(folder):
    ((job,), _) = read(folder, row("a"))
    ledger = Ledger(folder / "out")
    ledger.save_images(job, [b"png"], None)
    (folder / "out" / "a.png").unlink()
    assert ledger.find_record(job) is None


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
    assert second.result == folder / "out" / "a_1.png"
