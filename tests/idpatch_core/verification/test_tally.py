import math

import numpy as np
import pytest

from idpatch_core.verification.tally import (
    Tally,
    bootstrap_interval,
    bootstrap_intervals,
    pooled,
)


def test_bootstrap_interval_is_repeatable_and_holds_the_value():
    rng = np.random.default_rng(0)
    parts = [Tally(float(rng.binomial(3, 0.7)), 3) for _ in range(200)]
    low, high = bootstrap_interval(parts, seed=1)
    assert (low, high) == bootstrap_interval(parts, seed=1)
    assert (low, high) != bootstrap_interval(parts, seed=2)
    mean = sum(part.total for part in parts) / 600
    # The normal approximation of a binomial share, with 600 draws.
    assert low == pytest.approx(mean - 1.96 * math.sqrt(mean * (1 - mean) / 600), abs=0.01)
    assert high == pytest.approx(mean + 1.96 * math.sqrt(mean * (1 - mean) / 600), abs=0.01)


def test_bootstrap_of_constant_and_of_too_few():
    assert bootstrap_interval([Tally(1, 2)] * 5) == (0.5, 0.5)
    assert all(math.isnan(end) for end in bootstrap_interval([Tally(1, 2), Tally(0, 0)]))


def test_pooled_tallies_weigh_every_measurement_the_same():
    assert pooled([Tally(1, 2), Tally(3, 3), Tally(0, 0)]) == Tally(4, 5)
    assert math.isnan(pooled([]).value)


def test_many_metrics_have_the_intervals_of_resampled_rows():
    rng = np.random.default_rng(0)
    lengths = (40, 40, 57, 1, 0)
    metrics = [[Tally(rng.normal(), rng.integers(1, 4)) for _ in range(n)] for n in lengths]
    metrics[1] += [Tally(0, 0)] * 9  # not measured
    found = bootstrap_intervals(metrics, seed=3)
    for tallies, interval in zip(metrics[:3], found, strict=False):
        assert interval == pytest.approx(bootstrap_interval(tallies, seed=3), abs=1e-12)
        rows = np.array([tally for tally in tallies if tally.count])
        draws = np.random.default_rng(3)
        sums = [rows[draws.integers(len(rows), size=len(rows))].sum(0) for _ in range(1000)]
        ratios = [total / count for total, count in sums]
        assert interval == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=1e-12)
    assert np.isnan(found[3:]).all()
