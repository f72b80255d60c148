"""Compares systems on the same cases: paired differences with their 95 % intervals.

The difference of a metric is Σ total / Σ count of a system minus that of the baseline. Whole cases
are resampled, both systems' images of a case together: what makes a case difficult affects both,
so the interval is narrower than those of the two systems suggest. Source: Efron and Tibshirani, An
Introduction to the Bootstrap, section 8.6.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..verification.tally import resample
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
            columns = [
                c.metric
                for c in (*PAPER_COLUMNS, *MORE_COLUMNS)
                if c.better and c.metric in table.metrics
            ]
            for metric, values in _paired_differences(own, other, columns, seed):
                differences.append(Difference(system, baseline, people, metric, *values))
    return differences


def _paired_differences(
    own: ScoreTable, other: ScoreTable, metrics: Sequence[str], seed: int
) -> Iterator[tuple[str, tuple[float, float, float, int]]]:
    """Yield each metric that both systems have, with its difference, interval and cases."""
    columns = [own.metrics.index(metric) for metric in metrics]
    parts = np.stack(
        [part[:, columns] for table in (own, other) for part in (table.totals, table.counts)]
    )  # (4, N, M)
    sums = _sum_resampled(parts, seed)  # (4, RESAMPLES + 1, M)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = sums[0] / sums[1] - sums[2] / sums[3]
    cases = (parts[[1, 3]] > 0).any(axis=0).sum(axis=0)
    for column, metric in enumerate(metrics):
        value, resampled = values[0, column], values[1:, column]
        if math.isnan(value):
            continue
        low, high = math.nan, math.nan
        if cases[column] > 1:
            low, high = map(float, np.nanquantile(resampled, [0.025, 0.975]))
        yield metric, (float(value), low, high, int(cases[column]))


def _sum_resampled(parts: np.ndarray, seed: int) -> np.ndarray:
    """Return the sums of K parts (K, N, M) over the cases, first of all of them, then resampled."""
    kinds, cases, metrics = parts.shape
    flat = parts.transpose(1, 0, 2).reshape(cases, kinds * metrics)
    sums = np.concatenate([flat.sum(axis=0)[None], resample(flat, seed, RESAMPLES)])
    return sums.reshape(-1, kinds, metrics).transpose(1, 0, 2)


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
