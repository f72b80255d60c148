"""Turns scored cases into tables: the paper's, by number of people, and every metric."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..verification.tally import Tally, bootstrap_interval, pooled
from .scoring import tallies_of


class Column(NamedTuple):
    """A metric as a table shows it: how many digits, and whether more or less is better."""

    metric: str
    title: str
    digits: int
    better: str = ""  # "↑", "↓" or neither


PAPER = [
    Column("face_similarity", "Face Sim", 3, "↑"),
    Column("association_accuracy", "ID-Pos Acc", 3, "↑"),
    Column("chance_level", "chance", 3),
    Column("seconds", "Time (s)", 2, "↓"),
    Column("fid", "FID", 2, "↓"),
]
MORE = [
    Column("found_similarity", "Sim of faces found", 3, "↑"),
    Column("hungarian_similarity", "Hungarian Sim", 3, "↑"),
    Column("swapped", "Swapped", 3, "↓"),
    Column("leakage_rate", "Leakage", 3, "↓"),
    Column("blend", "Blend", 3, "↓"),
    Column("duplicated", "Duplicates", 3, "↓"),
    Column("coverage", "Coverage", 3, "↑"),
    Column("count_accuracy", "Count Acc", 3, "↑"),
    Column("copy_paste", "Copy-Paste", 3, "↓"),
    Column("clip", "CLIP-T", 3, "↑"),
]


class Cell(NamedTuple):
    """A metric's value over many pictures, its 95 % interval and how much was measured."""

    value: float
    low: float
    high: float
    count: float


class Row(NamedTuple):
    """One line of a table; `people` None for any number of people."""

    system: str
    people: int | None
    cases: int
    problems: int
    cells: dict[str, Cell]


def summarise(
    records: Sequence[dict[str, Any]],
    threshold: float,
    seed: int = 0,
    fids: dict[str, float] | None = None,
) -> list[Row]:
    """Return for each system a row of all its cases, then one for each number of people.

    Cases with problems count as failed. The order of the records decides nothing: the same records
    and seed always give the same rows.
    """
    rows = []
    ordered = sorted(records, key=lambda record: (record["system"], record["id"], record["key"]))
    for system in dict.fromkeys(record["system"] for record in ordered):
        own = [record for record in ordered if record["system"] == system]
        numbers = sorted({len(record["names"]) for record in own if record["names"]})
        for people in [None, *numbers]:
            some = [r for r in own if people is None or len(r["names"]) == people]
            cells = _cells([tallies_of(record, threshold) for record in some], seed)
            if people is None and fids and system in fids:
                cells["fid"] = Cell(fids[system], math.nan, math.nan, len(some))
            problems = sum("problem" in record for record in some)
            rows.append(Row(system, people, len(some), problems, cells))
    return rows


def _cells(tallies: list[dict[str, Tally]], seed: int) -> dict[str, Cell]:
    cells = {}
    for metric in dict.fromkeys(name for part in tallies for name in part):
        parts = [part[metric] for part in tallies if metric in part]
        tally = pooled(parts)
        if tally.count:
            cells[metric] = Cell(tally.value, *bootstrap_interval(parts, seed), tally.count)
    return cells


def measured(rows: Sequence[Row], columns: Sequence[Column]) -> list[Column]:
    """Return the columns that something was measured for."""
    return [column for column in columns if any(column.metric in row.cells for row in rows)]


def to_text(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Return rows as an aligned table; columns that nothing was measured for show a dash."""
    head = [
        "System",
        "People",
        "Cases",
        "Problems",
        *(f"{c.title} {c.better}".strip() for c in columns),
    ]
    lines = [head]
    for row in rows:
        people = "all" if row.people is None else str(row.people)
        cells = [show(row.cells.get(column.metric), column) for column in columns]
        lines.append([row.system, people, str(row.cases), str(row.problems), *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(text)


def show(cell: Cell | None, column: Column) -> str:
    """Return a value with its interval, such as `0.812 [0.790, 0.834]`."""
    if cell is None:
        return "-"
    value = f"{cell.value:.{column.digits}f}"
    if math.isnan(cell.low) or column.metric == "chance_level":
        return value
    return f"{value} [{cell.low:.{column.digits}f}, {cell.high:.{column.digits}f}]"


def to_csv(rows: Sequence[Row]) -> str:
    """Return one line for each metric of each row."""
    header = ["system", "people", "cases", "problems", "metric", "value", "low", "high", "n"]
    return _csv(
        header,
        (
            [row.system, row.people or "all", row.cases, row.problems, metric, *map(_plain, cell)]
            for row in rows
            for metric, cell in row.cells.items()
        ),
    )


def cases_to_csv(records: Iterable[dict[str, Any]], threshold: float) -> str:
    """Return one line for each case with its metrics and its problem."""
    metrics = [c.metric for c in (*PAPER, *MORE) if c.metric != "fid"]
    lines = []
    for record in records:
        values = {name: tally.value for name, tally in tallies_of(record, threshold).items()}
        problem = record.get("problem")
        text = f"{problem['file']}: {problem['what']}" if problem else ""
        numbers = [_plain(values.get(metric, math.nan)) for metric in metrics]
        lines.append([record["system"], record["id"], len(record["names"]), *numbers, text])
    return _csv(["system", "id", "people", *metrics, "problem"], lines)


def _plain(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _csv(header: list[str], lines: Iterable[list]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as JSON-ready dicts; NaN as None."""
    return [
        {
            "system": row.system,
            "people": row.people,
            "cases": row.cases,
            "problems": row.problems,
            "metrics": {
                metric: {
                    name: None if math.isnan(value) else value
                    for name, value in cell._asdict().items()
                }
                for metric, cell in row.cells.items()
            },
        }
        for row in rows
    ]
