"""Sums that metrics over many images are computed from, and their confidence intervals."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

BLOCK = 20  # resamples at once


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
    return bootstrap_intervals([tallies], seed, level, resamples)[0]


def bootstrap_intervals(
    metrics: Iterable[Iterable[Tally]],
    seed: int = 0,
    level: float = 0.95,
    resamples: int = 1000,
) -> list[tuple[float, float]]:
    """Return `bootstrap_interval` of each of several metrics, with the same random numbers.

    A resample is how often each image is drawn; the metrics that were measured on as many images
    are multiplied by it together.
    """
    measured = [
        np.array([tally for tally in tallies if tally.count], float).reshape(-1, 2)
        for tallies in metrics
    ]
    intervals = [(float("nan"), float("nan"))] * len(measured)
    for images in {len(parts) for parts in measured if len(parts) > 1}:
        places = [place for place, parts in enumerate(measured) if len(parts) == images]
        sums = resample(np.hstack([measured[place] for place in places]), seed, resamples)
        ends = [(1 - level) / 2, (1 + level) / 2]
        limits = np.quantile(sums[:, 0::2] / sums[:, 1::2], ends, axis=0)
        for place, (low, high) in zip(places, limits.T, strict=True):
            intervals[place] = float(low), float(high)
    return intervals


def resample(values: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Return the sums (resamples, M) of values (N, M) over N rows drawn with replacement."""
    random, sums = np.random.default_rng(seed), []
    for start in range(0, resamples, BLOCK):
        draws = random.integers(len(values), size=(min(BLOCK, resamples - start), len(values)))
        counts = np.stack([np.bincount(draw, minlength=len(values)) for draw in draws])
        sums.append(counts.astype(np.float64) @ values)
    return np.concatenate(sums)
