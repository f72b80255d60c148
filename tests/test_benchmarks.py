import json
import re
from xml.etree import ElementTree

import pytest

from tests.benchmarks import front, tables
from tests.benchmarks.__main__ import PARTS

RESULTS = [part for part in PARTS if tables.result_path(part).exists()]


@pytest.mark.parametrize("path", tables.DOCUMENTS, ids=lambda path: path.parent.name)
def test_the_documents_say_what_the_results_say(path):
    assert path.read_text(encoding="utf-8") == tables.update_document(path)


def test_every_part_has_a_table_in_the_documents():
    text = (tables.BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert set(PARTS) == set(tables.TABLES)
    for part in PARTS:
        assert tables.START.format(name=part) in text
        assert f"| `{part}` |" in text
        assert (tables.BENCHMARKS / f"{part}.py").is_file()


@pytest.mark.parametrize("part", RESULTS)
def test_a_result_has_its_command_and_machine(part):
    document = json.loads(tables.result_path(part).read_text(encoding="utf-8"))
    assert document["command"].startswith(f"python3 -m tests.benchmarks {part}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", document["date"])
    assert {"cpu", "cores", "gpu", "torch", "comfyui", "python"} <= document["machine"].keys()


def test_a_changed_figure_makes_a_document_differ(tmp_path, monkeypatch):
    path = tables.BENCHMARKS / "README.md"
    document = json.loads(tables.result_path("arithmetic").read_text(encoding="utf-8"))
    document["result"]["rows"][1]["ratio"] = 9.0
    (tmp_path / "arithmetic.json").write_text(json.dumps(document))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| 1 person | 19.546 | 9.0000 |" in tables.update_document(path)


def test_the_arithmetic_of_the_exact_path():
    """Less than today with three people, and than no ID-Patch with up to five."""
    document = json.loads(tables.result_path("arithmetic").read_text(encoding="utf-8"))
    ratio = {row["run"]: row["ratio"] for row in document["result"]["rows"]}
    assert ratio["3 people, reuse_tokens"] / ratio["3 people"] < 0.99
    assert all(ratio[f"{n} people, reuse_tokens"] < 1 for n in (2, 3, 5))


def test_the_plot_shows_what_the_result_says():
    assert tables.FRONT.read_text(encoding="utf-8") == tables.draw_front()
    document = json.loads(tables.result_path("early_end").read_text(encoding="utf-8"))
    plot = ElementTree.fromstring(front.draw_front(document))
    rows = document["result"]["rows"]
    points = [
        (float(circle.get("cx", "")), float(circle.get("cy", "")))
        for circle in plot.iter("{http://www.w3.org/2000/svg}circle")
    ]
    assert len(points) == 2 * len(rows)  # a panel for each kind
    for start, kind in ((0, "similarity"), (len(rows), "association")):
        xs, ys = zip(*points[start : start + len(rows)], strict=True)
        for axis, values in ((xs, "arithmetic"), (ys, kind)):
            slopes = {
                round((axis[i] - axis[0]) / (row[values] - rows[0][values]) / 20)
                for i, row in enumerate(rows)
                if abs(row[values] - rows[0][values]) > 0.02
            }
            assert len(slopes) == 1  # the axes are linear
