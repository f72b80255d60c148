"""Keeps sampling within a share of a run's time."""

import time
from collections.abc import Callable


class TimeShare:
    """The time since its start, and how much of it was spent on sampling.

    `share` is the largest share of the time, 1 for no limit; `clock` returns seconds.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic):
        self._share, self._clock = share, clock
        self._start = clock()
        self._begun: float | None = None  # when the sampling that is going on began
        self._spent = 0.0
        self._seconds: float | None = None  # of a whole sampling, as far as known

    def allows_sampling(self) -> bool:
        """Return whether a sampling would stay within the share; the first one may begin."""
        return self._seconds is None or self._fits(self._seconds)

    def begin(self) -> None:
        self._begun = self._clock()

    def allows_rest(self, done: int, total: int) -> bool:
        """Return whether the sampling, of which `done` of `total` are ready, may go on."""
        assert self._begun is not None
        if not 0 < done < total:
            return True
        taken = self._clock() - self._begun
        self._seconds = taken * total / done
        return self._fits(self._seconds, begun=taken)

    def end(self, complete: bool) -> None:
        assert self._begun is not None
        taken = self._clock() - self._begun
        self._spent, self._begun = self._spent + taken, None
        if complete:
            self._seconds = taken

    def _fits(self, seconds: float, begun: float = 0.0) -> bool:
        elapsed = self._clock() - self._start - begun
        return self._spent + seconds <= self._share * (elapsed + seconds)
