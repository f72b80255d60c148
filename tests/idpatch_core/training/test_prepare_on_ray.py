"""A cluster of two machines, each with one CPU, inspects as the processes of one machine do."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from inspectors import die_with_some, note

from idpatch_core.training.inspection import IMAGES_PER_WORKER, inspect_images
from idpatch_core.training.prepare_on_ray import inspect_on_ray
from idpatch_core.training.sources import FileSlice, Source

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture(scope="module")
def cluster() -> Iterator[int]:
    """Start two nodes of Ray in processes of their own; return the number of CPUs."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    paths = os.pathsep.join([str(SUPPORT), str(SUPPORT.parents[1])])
    environment = {"env_vars": {"PYTHONPATH": paths}}
    ray.init(address=nodes.address, log_to_driver=False, runtime_env=environment)
    nodes.wait_for_nodes()
    yield int(ray.cluster_resources()["CPU"])
    ray.shutdown()
    nodes.shutdown()


def make_sources(folder: Path, *names: str) -> list[Source]:
    return [Source(name, FileSlice(str(folder / name)), None) for name in names]


def test_results_come_in_order_and_few_at_a_time(cluster: int, tmp_path: Path):
    assert cluster == 2
    sources = make_sources(tmp_path, *(f"{i:02d}" for i in range(30)))
    results = inspect_on_ray(sources, note, workers=1)
    taken = list(islice(results, 3))
    assert len(list(tmp_path.glob("*.seen"))) <= 3 + IMAGES_PER_WORKER
    taken += results
    assert taken == list(inspect_images(sources, note, workers=0))


def test_a_dead_worker_costs_only_the_image_that_kills_it(cluster: int, tmp_path: Path):
    names = [*"abc", "bad", "d", "unlucky", *"efgh"]
    results = list(inspect_on_ray(make_sources(tmp_path, *names), die_with_some, cluster))
    assert [result.key for result in results] == names
    reasons = {result.key: getattr(result, "reason", "") for result in results}
    assert reasons == {name: "worker died" if name == "bad" else "noted" for name in names}
