"""Sums that metrics over many images are computed from, and their confidence intervals."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Tally(NamedTuple):
    """What one image adds to a metric: a sum, and the number of its summands.

    A metric over many images is Σ total / Σ count, so each placement has the same weight.
    """

    total: float
    count: float

    @property
    def value(self) -> float:
        """total / count, NaN if nothing was measured."""
        return self.total / self.count if self.count else float("nan")


def pooled(tallies: Iterable[Tally]) -> Tally:
    """Return the tally of all images together: Σ total over Σ count."""
    tallies = list(tallies)
    return Tally(sum(tally.total for tally in tallies), sum(tally.count for tally in tallies))


def bootstrap_interval(
    tallies: Iterable[Tally], seed: int = 0, level: float = 0.95, resamples: int = 1000
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of Σ total / Σ count over images.

    Whole images are resampled, because the faces of one image are not independent. The same
    tallies in the same order and the same seed give the same interval; NaN for fewer than two
    images. Source:
    Efron and Tibshirani, An Introduction to the Bootstrap, section 13.3.
    """
    measured = np.array([tally for tally in tallies if tally.count], float).reshape(-1, 2)
    if len(measured) < 2:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    values = np.empty(resamples)
    for i in range(resamples):
        total, count = measured[generator.integers(len(measured), size=len(measured))].sum(0)
        values[i] = total / count
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
