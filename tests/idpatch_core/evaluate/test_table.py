import csv
import io
import math

import pytest
from scored_records import GOOD, SWAPPED, record

from idpatch_core.evaluate import table
from idpatch_core.evaluate.table import PAPER_COLUMNS, summarise


def failed(id, people, system="ours"):
    made = record(id, [[0.0]] * people, [None] * people, system)
    del made["verdict"]
    return made | {"problem": {"file": f"{id}.png", "reason": "missing"}}


def test_placements_are_pooled_over_images_and_failures_count():
    three = [[0.9, 0, 0], [0, 0.9, 0], [0, 0, 0.9]]
    records = [
        record("a", GOOD, [0, 1], seconds=2.0),
        record("b", SWAPPED, [0, 1], seconds=4.0),
        record("c", three, [0, 1, 2]),
        failed("d", 3),
    ]
    overall, two, many = summarise(records, 0.35)
    cell = overall.cells["association_accuracy"]
    assert (cell.value, cell.count) == (5 / 10, 10)
    assert overall.cells["face_similarity"].value == pytest.approx((0.9 + 0.7 + 0.2 + 2.7) / 10)
    assert overall.cells["chance_level"].value == pytest.approx((4 / 2 + 6 / 3) / 10)
    assert overall.cells["seconds"].value == 3.0
    assert (overall.cases, overall.problems, overall.people) == (4, 1, None)
    assert (two.people, two.cases, two.cells["association_accuracy"].value) == (2, 2, 0.5)
    assert (many.people, many.problems, many.cells["association_accuracy"].value) == (3, 1, 0.5)


def test_every_system_has_its_rows_and_its_fid():
    records = [record("a", GOOD, [0, 1], "x"), record("a", SWAPPED, [0, 1], "y")]
    rows = summarise(records, 0.35, distances={"y": {"fid": 12.5, "kid": 0.5}})
    assert [(row.system, row.people) for row in rows] == [
        ("x", None),
        ("x", 2),
        ("y", None),
        ("y", 2),
    ]
    assert "fid" not in rows[0].cells
    assert rows[2].cells["fid"].value == 12.5
    assert rows[2].cells["kid"].value == 0.5


def test_the_order_of_records_decides_nothing():
    records = [record(f"{i:02}", GOOD if i % 3 else SWAPPED, [0, 1]) for i in range(30)]
    assert summarise(records, 0.35, seed=3) == summarise(records[::-1], 0.35, seed=3)


def test_a_case_that_could_not_be_read_counts_as_a_problem():
    unreadable = {"key": "x", "id": "line 3", "system": "ours", "names": [], "placed": []}
    unreadable |= {"seconds": None, "problem": {"file": "cases.jsonl, line 3", "reason": "bad"}}
    (overall, _) = summarise([record("a", GOOD, [0, 1]), unreadable], 0.35)
    assert (overall.cases, overall.problems) == (2, 1)
    assert overall.cells["association_accuracy"].count == 2


def test_text_has_the_papers_columns():
    text = table.rows_to_text(
        summarise([record("a", GOOD, [0, 1], seconds=2.0)], 0.35)[:1], PAPER_COLUMNS
    )
    head, rule, line = text.splitlines()
    assert head.split("  ")[0].strip() == "System"
    for title in ("Face Sim ↑", "ID-Pos Acc ↑", "Time (s) ↓", "FID ↓", "KID x 1000 ↓"):
        assert title in head
    assert set(rule) == {"-", " "}
    assert line.split() == ["ours", "all", "1", "0", "0.800", "1.000", "0.500", "2.00", "-", "-"]


def test_text_shows_intervals():
    records = [record(f"{i}", GOOD if i % 2 else SWAPPED, [0, 1]) for i in range(20)]
    line = table.rows_to_text(summarise(records, 0.35)[:1], PAPER_COLUMNS[1:2]).splitlines()[2]
    low, high = (float(part.strip("[],")) for part in line.split()[-2:])
    assert 0.2 < low < 0.5 < high < 0.8


def test_csv_reads_back():
    rows = summarise([record("a", GOOD, [0, 1]), failed("b", 2)], 0.35)
    lines = list(csv.DictReader(io.StringIO(table.rows_to_csv(rows))))
    (line,) = [x for x in lines if (x["people"], x["metric"]) == ("all", "association_accuracy")]
    assert (float(line["value"]), line["n"], line["problems"]) == (0.5, "4", "1")


def test_csv_of_cases_names_the_problem():
    text = table.iterate_cases_csv([record("a", GOOD, [0, 1]), failed("b", 2)], 0.35)
    good, bad = csv.DictReader(text)
    assert (good["problem"], float(good["association_accuracy"])) == ("", 1.0)
    assert (bad["problem"], float(bad["association_accuracy"])) == ("b.png: missing", 0.0)
    assert bad["blend"] == ""


def test_json_has_no_nan():
    (row, _) = table.rows_to_json(summarise([record("a", GOOD, [0, 1])], 0.35))
    cell = row["metrics"]["association_accuracy"]
    assert cell == {"value": 1.0, "low": None, "high": None, "count": 2}
    assert not any(
        isinstance(v, float) and math.isnan(v) for c in row["metrics"].values() for v in c.values()
    )
