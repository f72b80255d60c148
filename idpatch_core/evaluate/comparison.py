"""Compares systems on the same cases: paired differences with their 95 % intervals.

The difference of a metric is Σ total / Σ count of a system minus that of the baseline. Whole cases
are resampled, both systems' images of a case together: what makes a case difficult affects both,
so the interval is narrower than those of the two systems suggest. Source: Efron and Tibshirani, An
Introduction to the Bootstrap, section 8.6.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .score_table import ScoreTable, list_systems, split_by_people
from .table import MORE_COLUMNS, PAPER_COLUMNS, Column

RESAMPLES = 1000
LISTED = 20  # missing cases in an error


class Difference(NamedTuple):
    """A metric of `system` minus that of `baseline` on `cases` pairs, with its 95 % interval."""

    system: str
    baseline: str
    people: int | None
    metric: str
    value: float
    low: float
    high: float
    cases: int


def check_same_cases(cases: Iterable[tuple[str, str, int]], baseline: str) -> None:
    """Raise a ValueError that lists what is missing unless all systems have the same cases.

    `cases` are the system, id and number of people of each.
    """
    own: dict[str, set[tuple[str, int]]] = {}
    for system, id, people in cases:
        known = own.setdefault(system, set())
        if (id, people) in known:
            raise ValueError(f"--baseline: {system} has several cases with the id {id}.")
        known.add((id, people))
    if baseline not in own:
        raise ValueError(
            f"--baseline: there is no system {baseline!r}. Choose one of {', '.join(own)}."
        )
    if len(own) < 2:
        raise ValueError(
            f"--baseline: {baseline} is the only system. Give another one's images as well."
        )
    everything = set().union(*own.values())
    problems = []
    for system, known in own.items():
        if missing := sorted(everything - known):
            names = ", ".join(f"{id} ({people} people)" for id, people in missing[:LISTED])
            more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
            problems.append(f"{system} does not have {names}{more}.")
    if problems:
        raise ValueError(
            "--baseline: the systems have different cases, so differences would compare different "
            f"people. {' '.join(problems)}"
        )


def compare_systems(table: ScoreTable, baseline: str, seed: int = 0) -> list[Difference]:
    """Return the differences of each other system from the baseline; errors as above."""
    check_same_cases(zip(table.systems, table.ids, table.people.tolist(), strict=True), baseline)
    differences = []
    for system in list_systems(table):
        if system == baseline:
            continue
        pairs = zip(
            split_by_people(table.of_system(system)),
            split_by_people(table.of_system(baseline)),
            strict=True,
        )
        for (people, own), (_, other) in pairs:  # sorted by id, so the rows are the same cases
            for column in (*PAPER_COLUMNS, *MORE_COLUMNS):
                if column.better and column.metric in table.metrics:
                    values = _paired_difference(own, other, column.metric, seed)
                    if values is not None:
                        differences.append(
                            Difference(system, baseline, people, column.metric, *values)
                        )
    return differences


def _paired_difference(
    own: ScoreTable, other: ScoreTable, metric: str, seed: int
) -> tuple[float, float, float, int] | None:
    """Return the difference, its interval and the number of cases; None if one has no value."""
    column = own.metrics.index(metric)
    parts = np.stack(
        [t for table in (own, other) for t in (table.totals[:, column], table.counts[:, column])],
        axis=1,
    )  # (N, 4)
    parts = parts[(parts[:, [1, 3]] > 0).any(axis=1)]
    sums = parts.sum(axis=0)
    if not (sums[1] and sums[3]):
        return None
    value = float(sums[0] / sums[1] - sums[2] / sums[3])
    if len(parts) < 2:
        return value, math.nan, math.nan, len(parts)
    random, differences = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        a, n, b, m = parts[random.integers(len(parts), size=len(parts))].sum(axis=0)
        differences.append(a / n - b / m if n and m else math.nan)
    low, high = np.nanquantile(differences, [0.025, 0.975])
    return value, float(low), float(high), len(parts)


def differences_to_text(differences: Sequence[Difference]) -> str:
    """Return the differences over all numbers of people, one metric a line, then by people."""
    columns: dict[str, Column] = {c.metric: c for c in (*PAPER_COLUMNS, *MORE_COLUMNS)}
    lines = []
    for d in differences:
        column = columns[d.metric]
        digits, people = column.digits, "all" if d.people is None else str(d.people)
        interval = "" if math.isnan(d.low) else f" [{d.low:+.{digits}f}, {d.high:+.{digits}f}]"
        decided = not math.isnan(d.low) and (d.low > 0 or d.high < 0)
        better = (d.value > 0) == (column.better == "↑")
        verdict = ("better" if better else "worse") if decided else "not decided"
        title = f"{column.title} {column.better}"
        head = f"{d.system} - {d.baseline}  {people:>4}  {title:24}"
        lines.append(f"{head}{d.value:+.{digits}f}{interval}  {verdict} ({d.cases} cases)")
    return "\n".join(lines)
