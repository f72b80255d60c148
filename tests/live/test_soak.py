"""Prompts of several kinds through one server: each ends as it must; tests/benchmarks/soak.py."""

import pytest
from core_soaker import CoreSoaker
from soaker import KINDS, Soaker, image_graph, request

PROMPTS = 30


@pytest.fixture
def soaker(comfy_server):
    request(comfy_server.url, "/history", {"clear": True})  # of other tests' prompts
    return Soaker(comfy_server.client, comfy_server.base / "output", seed=0)


def test_each_prompt_ends_as_it_must_and_makes_the_same_again(soaker):
    done = soaker.run(PROMPTS)
    assert done.problems == []
    assert set(done.counts) == set(KINDS) and done.counts.total() == PROMPTS
    assert done.repeated.most_common(1)[0][1] > 1


def test_prompts_of_core_nodes_alone_end_as_they_must(comfy_server):
    request(comfy_server.url, "/history", {"clear": True})
    core = CoreSoaker(comfy_server.client, comfy_server.base / "output", seed=0)
    done = core.run(PROMPTS)
    assert done.problems == []
    assert set(done.counts) == set(KINDS) - {"encode"}


def test_what_differs_is_noticed(soaker, monkeypatch):
    monkeypatch.setattr("soaker.SEEDS", 1)
    monkeypatch.setattr(Soaker, "kinds", {"image": 1})
    graphs = iter([image_graph("self_test", 0), image_graph("self_test", 1)])
    monkeypatch.setattr("soaker.TEMPLATES", ["self_test"])
    monkeypatch.setattr("soaker.image_graph", lambda *_: next(graphs))
    done = soaker.run(2)
    assert len(done.problems) == 1 and "it made" in done.problems[0]
