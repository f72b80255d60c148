"""Inspects images on a Ray cluster, by the same function and within the same bounds.

Ray Core's tasks and not Ray Data: the results are few and large, come in the order of the images,
and go to one process with the encoders, and Ray Data would need pyarrow.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from ..ray_cluster import join_cluster
from .inspection import IMAGES_PER_WORKER, TRIES, Result
from .rejection import RejectedImage
from .sources import Source


def inspect_on_ray(
    sources: Sequence[Source], inspect: Callable[[Source], Result], workers: int
) -> Iterator[Result]:
    """Call `inspect` for each image on at most `workers` CPUs of the cluster, in order.

    Uses the cluster of RAY_ADDRESS or one on this machine, or else starts a local one. All machines
    need the images and this code at the same paths. No more than IMAGES_PER_WORKER images for each
    worker are in memory. Ray starts a worker that died again; an image that kills TRIES workers is
    rejected. Raises ValueError without Ray.
    """
    with join_cluster() as ray:

        def inspect_source(source: Source) -> Result:
            return inspect(source)

        task: Any = ray.remote(num_cpus=1, max_retries=TRIES - 1)(inspect_source)
        remaining = iter(sources)
        pending: deque[tuple[Source, Any]] = deque()
        while True:
            for source in islice(remaining, workers * IMAGES_PER_WORKER - len(pending)):
                pending.append((source, task.remote(source)))
            if not pending:
                return
            source, reference = pending.popleft()
            try:
                yield ray.get(reference)
            except ray.exceptions.RayError as error:
                detail = f"{type(error).__name__}: the process was killed or crashed"
                yield RejectedImage(source.key, "worker died", detail)
            del reference  # frees the image in the cluster's memory
