"""Inspects images in worker processes, of which each may die and few images are kept at a time."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice

from .find_people import ImageInspector, PreparedImage, PrepareOptions
from .rejection import RejectedImage
from .sources import Source

IMAGES_PER_WORKER = 4  # that are in work or wait for the encoders
TRIES = 2  # of an image alone; a worker may die for another reason

Result = PreparedImage | RejectedImage


def inspect_images(
    sources: Sequence[Source], inspect: Callable[[Source], Result], workers: int
) -> Iterator[Result]:
    """Call `inspect` for each image, in `workers` processes and in order; 0: in this process.

    No more than IMAGES_PER_WORKER images for each worker are in memory. If a worker dies, such as
    for lack of memory, the images that were in work are inspected again one by one, and one that
    kills further workers is rejected.
    """
    if not workers:
        yield from map(inspect, sources)
        return
    remaining = iter(sources)
    with Workers(workers, inspect) as pool:
        pending: deque[tuple[Source, Future[Result]]] = deque()
        while True:
            for source in islice(remaining, workers * IMAGES_PER_WORKER - len(pending)):
                pending.append((source, pool.submit(source)))
            if not pending:
                return
            source, future = pending[0]
            try:
                yield future.result()
                pending.popleft()
            except BrokenProcessPool:
                yield from retry_alone(pool, list(pending))
                pending.clear()


def retry_alone(
    pool: "Workers", pending: Sequence[tuple[Source, "Future[Result]"]]
) -> Iterator[Result]:
    """Inspect images one by one after a worker died, except those that are done."""
    pool.restart()
    for source, future in pending:
        done = future.done() and not future.cancelled() and future.exception() is None
        yield future.result() if done else inspect_alone(pool, source)


def inspect_alone(pool: "Workers", source: Source) -> Result:
    """Inspect an image while no other one is in work; it is rejected if it kills TRIES workers."""
    for _ in range(TRIES):
        try:
            return pool.submit(source).result()
        except BrokenProcessPool:
            pool.restart()
    return RejectedImage(source.key, "worker died", "the process was killed or crashed")


class Workers:
    """A pool of processes that inspect images."""

    def __init__(self, count: int, inspect: Callable[[Source], Result]):
        self._count, self._inspect = count, inspect
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # Not forked: OpenCV and torch have started threads.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._count, context, _use_one_thread)

    def submit(self, source: Source) -> "Future[Result]":
        """Inspect an image in a process; the future has a BrokenProcessPool if one died."""
        try:
            return self._pool.submit(self._inspect, source)
        except BrokenProcessPool as error:
            future: Future[Result] = Future()
            future.set_exception(error)
            return future

    def restart(self) -> None:
        """Begin with new processes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._start()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def inspect_image(source: Source, options: PrepareOptions) -> Result:
    return get_inspector(options).inspect(source)


@cache
def get_inspector(options: PrepareOptions) -> ImageInspector:
    """Return this process's inspector, which keeps its models loaded."""
    return ImageInspector(options)


def _use_one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
