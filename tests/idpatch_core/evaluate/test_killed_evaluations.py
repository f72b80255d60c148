"""`evaluate`, killed at random moments, ends with the files of an undisturbed run."""

import shutil

from photos import read_photos, write_volume
from random_kills import kill_at_random_moments, run_to_end
from scorers import fetch_recogniser

from idpatch_core import journal

RESULTS = ("table.txt", "table.csv", "cases.csv", "results.json", "report.html")
CASES = 60


def test_killed_at_random_moments(tmp_path):
    source = write_volume(tmp_path / "cases", read_photos(), CASES, images=20)
    log, untouched, killed = (tmp_path / name for name in ("log", "untouched", "killed"))
    scorer = str(fetch_recogniser())

    def command(out):
        return ["-m", "idpatch_core.evaluate", str(source), "--scorer", scorer, "--out", str(out)]

    def keys():
        return [record["key"] for record in journal.read(killed / "scores-0000.jsonl")]

    def check():
        assert len(set(keys())) == len(keys()), "a case was scored twice"
        for name in RESULTS:
            if (killed / name).exists():
                assert (killed / name).read_bytes() == expected[name], name

    seconds = run_to_end(command(untouched), log)
    expected = {name: (untouched / name).read_bytes() for name in RESULTS}
    kill_at_random_moments(
        command(killed),
        log,
        seconds,
        CASES,
        lambda: len(keys()),
        check,
        lambda: shutil.rmtree(killed),
    )
    run_to_end(command(killed), log)
    assert len(keys()) == CASES and all((killed / name).exists() for name in RESULTS)
    check()
    assert not list(killed.glob(".*"))
