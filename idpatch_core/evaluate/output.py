"""Writes the tables and the report of an evaluation; records are read one at a time."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..journal import PART, remove_parts, write_whole
from . import table
from .comparison import Difference, compare_systems, differences_to_text
from .report import render_report
from .score_table import ScoreTable, average_scores, collect_scores
from .scoring import Evaluators

LISTED_PROBLEMS = 100  # in the text; cases.csv has all of them


class ScoredCases(NamedTuple):
    """All records by one scorer, and what they were scored with."""

    records: Sequence[dict[str, Any]]
    evaluators: Evaluators

    def table(self) -> ScoreTable:
        return collect_scores(self.records, self.evaluators.scorer.threshold)


def combine_settings(scored: Sequence[ScoredCases]) -> dict[str, Any]:
    """Return the settings of the first scorer, with the names of all."""
    settings = [each.evaluators.settings for each in scored]
    names = ", ".join(own["scorer"] for own in settings)
    return {**settings[0], "scorer": names, "biased": any(own["biased"] for own in settings)}


def write_results(
    folder: Path,
    source: str,
    scored: Sequence[ScoredCases],
    distances: dict[str, dict[str, float]],
    notices: Sequence[str],
    baseline: str | None = None,
    seed: int = 0,
) -> str:
    """Write the tables and the report; return the text to print.

    With several scorers, the values are the means over them; the report's plots and images are of
    the first. Raises ValueError if systems cannot be compared with the baseline.
    """
    settings, threshold = combine_settings(scored), scored[0].evaluators.scorer.threshold
    tables = [each.table() for each in scored]
    scores = average_scores(tables) if len(tables) > 1 else tables[0]
    differences = compare_systems(scores, baseline, seed) if baseline else []
    rows = table.summarise_scores(scores, seed, distances)
    notices, by_scorer = list(notices), {}
    if len(scored) > 1:
        notices.append(
            f"Values are means over {len(scored)} scorers, which weigh the same; plots and images "
            f"are scored by {scored[0].evaluators.scorer.name}."
        )
        for each, own in zip(scored, tables, strict=True):
            by_scorer[each.evaluators.scorer.name] = table.summarise_scores(own, seed)
    text = "\n".join(_format_text(rows, by_scorer, differences, settings, notices, seed))
    records = scored[0].records
    content = {
        "settings": settings,
        "seed": seed,
        "rows": table.rows_to_json(rows),
        "scorers": {name: table.rows_to_json(own) for name, own in by_scorer.items()},
        "differences": [each._asdict() for each in differences],
        "notices": notices,
    }
    problems = _format_problems(records)
    text = "\n".join([text, *problems])
    remove_parts(folder)
    write_whole(folder / "table.txt", f"{text}\n".encode())
    write_whole(folder / "table.csv", table.rows_to_csv(rows).encode())
    _write_parts(folder / "cases.csv", table.iterate_cases_csv(records, threshold))
    _write_parts(folder / "results.json", _iterate_json(content, records))
    comparison = differences_to_text(differences)
    html = render_report(source, records, rows, settings, seed, notices, comparison)
    write_whole(folder / "report.html", html.encode())
    return text


def _format_text(
    rows: Sequence[table.Row],
    by_scorer: dict[str, list[table.Row]],
    differences: Sequence[Difference],
    settings: dict[str, Any],
    notices: Sequence[str],
    seed: int,
) -> Iterator[str]:
    yield table.rows_to_text([r for r in rows if r.people is None], table.PAPER_COLUMNS)
    yield ""
    yield table.rows_to_text([r for r in rows if r.people is not None], table.PAPER_COLUMNS)
    yield ""
    yield table.rows_to_text(rows, table.select_measured(rows, table.MORE_COLUMNS))
    for name, own in by_scorer.items():
        overall = [row for row in own if row.people is None]
        yield f"\nBy {name} alone:\n" + table.rows_to_text(overall, table.PAPER_COLUMNS[:3])
    if differences:
        yield "\nPaired differences [95 % bootstrap interval over cases]:"
        yield differences_to_text(differences)
    yield (
        f"\nScored by {settings['scorer']}; same person from a cosine of "
        f"{settings['threshold']:.3f}. Faces found by {settings['detector']}. "
        f"[95 % bootstrap interval over images, seed {seed}]"
    )
    yield from notices


def _format_problems(records: Iterable[dict[str, Any]]) -> list[str]:
    lines, cases = [], 0
    for record in records:
        cases += 1
        if problem := record.get("problem"):
            lines.append(
                f"  {record['system']} {record['id']}: {problem['file']}: {problem['reason']}"
            )
    if not lines:
        return []
    head = f"{len(lines)} of {cases} images could not be scored and count as failed:"
    more = ["  … and more, see cases.csv"] if len(lines) > LISTED_PROBLEMS else []
    return [head, *lines[:LISTED_PROBLEMS], *more]


def _iterate_json(content: dict[str, Any], records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a JSON object with the records as `cases`, and as `problems` those that have one."""
    yield json.dumps(content, indent=1, ensure_ascii=False)[:-2]
    for name, fields in (("problems", ("system", "id", "problem")), ("cases", ())):
        yield f',\n "{name}": ['
        separator = "\n"
        for record in records:
            if not fields or "problem" in record:
                shown = {field: record[field] for field in fields} or record
                yield f"{separator}  {json.dumps(shown, ensure_ascii=False)}"
                separator = ",\n"
        yield "\n ]"
    yield "\n}\n"


def _write_parts(path: Path, parts: Iterable[str]) -> None:
    """Write a file atomically, a part at a time."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
