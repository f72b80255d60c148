"""Joins a Ray cluster."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def join_cluster() -> Iterator[Any]:
    """Provide Ray's module, connected to a cluster, and disconnect at the end what was connected.

    Uses the cluster of RAY_ADDRESS or one on this machine, or else starts a local one. Raises
    ValueError without Ray.
    """
    try:
        import ray
    except ImportError:
        raise ValueError("--ray needs Ray: pip install 'ray>=2.40'") from None
    started = not ray.is_initialized()
    if started:
        local: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}
        ray.init(log_to_driver=False, **local)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()
