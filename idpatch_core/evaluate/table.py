"""Summarises scored cases in tables: by system, by number of people, and every metric."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..verification.tally import bootstrap_intervals, pooled
from .score_table import ScoreTable, collect_scores, list_systems, split_by_people
from .scoring import read_tallies


class Column(NamedTuple):
    """A metric as a column: its title, its digits, and whether more or less is better."""

    metric: str
    title: str
    digits: int
    better: str = ""  # "↑", "↓" or neither


PAPER_COLUMNS = [
    Column("face_similarity", "Face Sim", 3, "↑"),
    Column("association_accuracy", "ID-Pos Acc", 3, "↑"),
    Column("chance_level", "chance", 3),
    Column("seconds", "Time (s)", 2, "↓"),
    Column("fid", "FID", 2, "↓"),
    Column("kid", "KID x 1000", 2, "↓"),
]
MORE_COLUMNS = [
    Column("detected_similarity", "Sim of detected faces", 3, "↑"),
    Column("hungarian_similarity", "Hungarian Sim", 3, "↑"),
    Column("swap_rate", "Swapped", 3, "↓"),
    Column("leakage_rate", "Leakage", 3, "↓"),
    Column("blend", "Blend", 3, "↓"),
    Column("duplicate_rate", "Duplicates", 3, "↓"),
    Column("coverage", "Coverage", 3, "↑"),
    Column("count_accuracy", "Count Acc", 3, "↑"),
    Column("truth_similarity", "Sim(GT)", 3, "↑"),
    Column("reference_similarity", "Sim(Ref)", 3),
    Column("copy_paste", "Copy-Paste", 3, "↓"),
    Column("clip", "CLIP-T", 3, "↑"),
]


class Cell(NamedTuple):
    """A metric over many images: its value, 95 % interval and number of measurements."""

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
    records: Iterable[dict[str, Any]],
    threshold: float,
    seed: int = 0,
    distances: dict[str, dict[str, float]] | None = None,
) -> list[Row]:
    """Return the rows of records; see `summarise_scores`."""
    return summarise_scores(collect_scores(records, threshold), seed, distances)


def summarise_scores(
    scores: ScoreTable, seed: int = 0, distances: dict[str, dict[str, float]] | None = None
) -> list[Row]:
    """Return for each system a row of all its cases, then one for each number of people.

    Cases with problems count as failed. `distances` are each system's FID and KID.
    """
    rows = []
    for system in list_systems(scores):
        for people, group in split_by_people(scores.of_system(system)):
            cells = _pool_cells(group, seed)
            if people is None and distances and system in distances:
                for name, value in distances[system].items():
                    cells[name] = Cell(value, math.nan, math.nan, len(group.ids))
            rows.append(Row(system, people, len(group.ids), int(group.failed.sum()), cells))
    return rows


def _pool_cells(scores: ScoreTable, seed: int) -> dict[str, Cell]:
    measured = {
        metric: parts
        for metric in scores.metrics
        if (parts := [tally for tally in scores.tallies(metric) if tally.count])
    }
    intervals = bootstrap_intervals(measured.values(), seed)
    cells = {}
    for (metric, parts), interval in zip(measured.items(), intervals, strict=True):
        tally = pooled(parts)
        cells[metric] = Cell(tally.value, *interval, tally.count)
    return cells


def select_measured(rows: Sequence[Row], columns: Sequence[Column]) -> list[Column]:
    """Return the columns with a measured value."""
    return [column for column in columns if any(column.metric in row.cells for row in rows)]


def rows_to_text(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Return rows as an aligned table, with a dash for what was not measured."""
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
        cells = [format_cell(row.cells.get(column.metric), column) for column in columns]
        lines.append([row.system, people, str(row.cases), str(row.problems), *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(text)


def format_cell(cell: Cell | None, column: Column) -> str:
    """Return a value with its interval, such as `0.812 [0.790, 0.834]`."""
    if cell is None:
        return "-"
    value = f"{cell.value:.{column.digits}f}"
    if math.isnan(cell.low) or column.metric == "chance_level":
        return value
    return f"{value} [{cell.low:.{column.digits}f}, {cell.high:.{column.digits}f}]"


def rows_to_csv(rows: Sequence[Row]) -> str:
    """Return a CSV with one line for each metric of each row."""
    header = ["system", "people", "cases", "problems", "metric", "value", "low", "high", "n"]
    lines = (
        [row.system, row.people or "all", row.cases, row.problems, metric, *map(_plain, cell)]
        for row in rows
        for metric, cell in row.cells.items()
    )
    return _csv(header, lines)


def iterate_cases_csv(records: Iterable[dict[str, Any]], threshold: float) -> Iterator[str]:
    """Yield the lines of a CSV with one for each case: its metrics and its problem."""
    metrics = [c.metric for c in (*PAPER_COLUMNS, *MORE_COLUMNS) if c.metric not in ("fid", "kid")]
    yield _csv(["system", "id", "people", *metrics, "problem"], [])
    for record in records:
        yield _csv(_case_line(record, threshold, metrics), [])


def _case_line(record: dict[str, Any], threshold: float, metrics: list[str]) -> list:
    values = {name: tally.value for name, tally in read_tallies(record, threshold).items()}
    problem = record.get("problem")
    text = f"{problem['file']}: {problem['reason']}" if problem else ""
    numbers = [_plain(values.get(metric, math.nan)) for metric in metrics]
    return [record["system"], record["id"], len(record["names"]), *numbers, text]


def _plain(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _csv(header: list, lines: Iterable[list]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()


def rows_to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
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
