"""Paired differences: on the same cases only, and narrower than the systems' own intervals."""

import numpy as np
import pytest
from scored_records import GOOD, SWAPPED, record

from idpatch_core.evaluate.comparison import check_same_cases, compare_systems, differences_to_text
from idpatch_core.evaluate.score_table import average_scores, collect_scores
from idpatch_core.evaluate.table import summarise_scores


def shifted(similarity: list[list[float]], by: float) -> list[list[float]]:
    return (np.array(similarity) + by).tolist()


def make_records(systems: dict[str, float]) -> list:
    random = np.random.default_rng(0)
    records = []
    for index in range(60):
        difficult = random.normal(0, 0.2)  # for each system
        for system, advantage in systems.items():
            own = shifted(GOOD, difficult + advantage + random.normal(0, 0.01))
            records.append(record(f"{index}", own, [0, 1], system))
    return records


def test_a_paired_interval_is_that_of_the_difference():
    scores = collect_scores(make_records({"theirs": 0.0, "ours": 0.05}), 0.35)
    (difference,) = (
        d
        for d in compare_systems(scores, "theirs")
        if d.metric == "face_similarity" and d.people is None
    )
    assert (difference.system, difference.cases) == ("ours", 60)
    assert difference.low < difference.value < difference.high
    assert difference.value == pytest.approx(0.05, abs=0.005)
    assert difference.high - difference.low < 0.01
    own = summarise_scores(scores)[0].cells["face_similarity"]
    assert own.high - own.low > 0.05  # unpaired intervals would not decide
    text = differences_to_text([difference])
    assert "ours - theirs" in text and "better (60 cases)" in text
    worse = differences_to_text([difference._replace(value=-0.05, low=-0.06, high=-0.04)])
    assert "worse" in worse
    assert "not decided" in differences_to_text([difference._replace(low=-0.01)])


def test_different_cases_are_listed():
    cases = [("a", "1", 2), ("a", "2", 2), ("b", "1", 2), ("b", "2", 3)]
    with pytest.raises(ValueError, match=r"a does not have 2 \(3 people\). b does not have 2 \(2"):
        check_same_cases(cases, "a")
    with pytest.raises(ValueError, match=r"no system 'c'. Choose one of a, b"):
        check_same_cases(cases, "c")
    with pytest.raises(ValueError, match="a is the only system"):
        check_same_cases(cases[:2], "a")
    with pytest.raises(ValueError, match="a has several cases with the id 1"):
        check_same_cases([*cases, cases[0]], "a")
    check_same_cases([*cases[:3], ("b", "2", 2)], "a")


def test_scorers_weigh_the_same():
    records = [record("1", GOOD, [0, 1]), record("2", SWAPPED, [0, 1])]
    others = [record("1", shifted(GOOD, 0.1), [0, 1]), record("2", shifted(GOOD, 0.1), [0, 1])]
    tables = [collect_scores(part, 0.35) for part in (records, others)]
    mean = summarise_scores(average_scores(tables))[0].cells
    assert mean["face_similarity"].value == pytest.approx(((0.8 + 0.1) / 2 + 0.9) / 2)
    assert mean["association_accuracy"].value == 0.75
    with pytest.raises(ValueError, match="scored different images"):
        average_scores([tables[0], tables[1].select(np.array([True, False]))])
