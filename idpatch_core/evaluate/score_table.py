"""The tallies of all images as arrays: a few hundred bytes for each image."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..verification.tally import Tally
from .scoring import read_tallies


class ScoreTable(NamedTuple):
    """N images in the order of their systems and ids, and M metrics.

    `totals` and `counts` (N, M) are the tallies' parts; `people` (N) is 0 for a case that could
    not be read; `failed` (N) tells which could not be scored.
    """

    systems: tuple[str, ...]  # (N)
    ids: tuple[str, ...]  # (N)
    people: np.ndarray
    failed: np.ndarray
    metrics: tuple[str, ...]  # (M)
    totals: np.ndarray
    counts: np.ndarray

    def select(self, chosen: np.ndarray) -> "ScoreTable":
        """Return the images of a mask or of indices, both (N)."""
        indices = np.arange(len(self.ids))[chosen]
        return ScoreTable(
            tuple(self.systems[i] for i in indices),
            tuple(self.ids[i] for i in indices),
            self.people[chosen],
            self.failed[chosen],
            self.metrics,
            self.totals[chosen],
            self.counts[chosen],
        )

    def of_system(self, system: str) -> "ScoreTable":
        return self.select(np.array([name == system for name in self.systems], bool))

    def tallies(self, metric: str) -> list[Tally]:
        """Return the tallies of a metric; those of images that it does not apply to count none."""
        column = self.metrics.index(metric)
        pairs = zip(self.totals[:, column].tolist(), self.counts[:, column].tolist(), strict=True)
        return [Tally(total, int(count) if count.is_integer() else count) for total, count in pairs]


def collect_scores(records: Iterable[dict[str, Any]], threshold: float) -> ScoreTable:
    """Return the tallies of records, whose order has no effect."""
    names: dict[str, int] = {}
    heads, rows = [], []
    for record in records:
        people = len(record["names"])
        heads.append((record["system"], record["id"], record["key"], people, "problem" in record))
        tallies = read_tallies(record, threshold)
        columns = [names.setdefault(name, len(names)) for name in tallies]
        rows.append((np.array(columns, np.int16), np.array(list(tallies.values()), np.float64)))
    totals, counts = np.zeros((2, len(rows), len(names)))
    for row, (columns, values) in enumerate(rows):
        totals[row, columns], counts[row, columns] = values.T
    order = sorted(range(len(heads)), key=lambda row: heads[row][:3])
    return ScoreTable(
        tuple(heads[row][0] for row in order),
        tuple(heads[row][1] for row in order),
        np.array([heads[row][3] for row in order], np.int64),
        np.array([heads[row][4] for row in order], bool),
        tuple(names),
        totals[order],
        counts[order],
    )


def average_scores(tables: Sequence[ScoreTable]) -> ScoreTable:
    """Return the mean of the same images' tallies by several scorers, whose weights are equal.

    A metric that some scorer did not measure in an image is left out there.
    """
    first = tables[0]
    for table in tables[1:]:
        if (table.systems, table.ids) != (first.systems, first.ids):
            raise ValueError("Scorers: they scored different images. Run the command again.")
    metrics = [name for name in first.metrics if all(name in table.metrics for table in tables)]
    columns = [[table.metrics.index(name) for name in metrics] for table in tables]
    pairs = list(zip(tables, columns, strict=True))
    counts = np.stack([table.counts[:, own] for table, own in pairs])  # (scorers, N, M)
    totals = np.stack([table.totals[:, own] for table, own in pairs])
    measured = (counts > 0).all(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(measured, (totals / counts).mean(axis=0), 0.0)
    mean_counts = np.where(measured, counts.mean(axis=0), 0.0)
    return first._replace(
        metrics=tuple(metrics),
        totals=means * mean_counts,
        counts=mean_counts,
        failed=np.stack([table.failed for table in tables]).any(axis=0),
    )


def list_systems(table: ScoreTable) -> list[str]:
    return list(dict.fromkeys(table.systems))


def split_by_people(table: ScoreTable) -> Iterator[tuple[int | None, ScoreTable]]:
    """Yield all images, with None, and then those of each number of people."""
    yield None, table
    for people in sorted(set(table.people.tolist()) - {0}):
        yield people, table.select(table.people == people)
