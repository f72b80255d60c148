import re
import sys

import numpy as np
import pytest
from photos import read_photos, write_volume
from scorers import fetch_recogniser

from idpatch_core.evaluate.cases import read_cases
from idpatch_core.evaluate.report import render_report
from idpatch_core.evaluate.report_data import MAX_POINTS, MAX_PROBLEMS, MeanMatrix, ReportData
from idpatch_core.evaluate.scoring import Evaluators, score_cases
from idpatch_core.evaluate.table import summarise
from idpatch_core.face_detector import YuNet
from idpatch_core.verification.scorer import load_scorer

EVALUATORS = Evaluators("YuNet", YuNet().detect, load_scorer(fetch_recogniser()))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_volume(folder, read_photos(), count=12, images=12, seed=7)
    (folder / "results" / "4.png").unlink()
    cases = read_cases(folder)
    cases[5] = cases[5]._replace(size=(100, 100))
    return list(score_cases(cases, EVALUATORS, folder / "out"))


def html(records, **changes):
    settings = {**EVALUATORS.settings, **changes}
    records = list(records)
    return render_report(
        "some <source>", records, summarise(records, 0.35), settings, 0, ["A notice."]
    )


def test_the_report_is_one_file_that_names_what_scored(records):
    text = html(records)
    assert "<b>fr_feature</b>" in text
    assert "some &lt;source&gt;" in text
    assert "A notice." in text
    assert text.count("<svg") >= 5
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text)


def test_problems_and_unknown_placements_are_listed(records):
    text = html(records)
    assert re.search(r"results/4\.png</td>\s*<td class=\"text\">missing", text)
    assert "1 of 12 images could not be scored" in text
    assert "cropped? (00005)" in text


def test_the_weakest_images_are_shown(records):
    wrong = [r["id"] for r in records if "verdict" in r and not r["verdict"]["all_correct"]]
    shown = re.findall(r"<figcaption><b>(\d+)</b>", html(records))
    assert sorted(shown) == sorted(wrong)
    assert len(shown) >= 2


def test_a_biased_scorer_is_warned_of(records):
    assert "these scores are biased" in html(records, biased=True)
    assert "these scores are biased" not in html(records)


def test_without_matplotlib_the_report_says_so(records, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = html(records)
    assert "matplotlib is not installed" in text
    assert "<svg" not in text


def test_the_mean_matrix():
    def record(similarity, at_place):
        verdict = {"similarity": similarity, "face_indices": at_place}
        return {"names": ["a", "b"], "placed": [True, True], "verdict": verdict}

    matrix = MeanMatrix(2)
    matrix.add(record([[0.9, 0.1], [0.3, 0.7]], [0, 1]))
    matrix.add(record([[0.5], [0.1]], [0, None]))
    expected = [[0.7, 0.2], [0.1, 0.7]]  # rows: the face at each placement
    assert matrix.mean == pytest.approx(np.array(expected))
    assert np.isnan(MeanMatrix(3).mean).all()


def test_what_the_report_shows_does_not_grow_with_the_images(records):
    (scored, *_) = (record for record in records if "verdict" in record)
    (failed,) = (record for record in records if "problem" in record)
    many = ReportData(record for _ in range(3000) for record in (scored, failed))
    points = many.systems[scored["system"]].points
    assert sum(sample.count for sample in points.values()) == 3000 * sum(scored["placed"])
    assert max(len(sample.points) for sample in points.values()) <= MAX_POINTS
    assert (many.cases, many.failed, len(many.problems)) == (6000, 3000, MAX_PROBLEMS)
    text = html(record for _ in range(1100) for record in (failed,))
    assert "1100 of 1100 images" in text and "all of them in" in text
