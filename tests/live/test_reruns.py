"""A change runs the least: the execution log of a live server, on the self test's graph."""

import copy

import pytest
from reruns import CHANGES, run_again, short_self_test

IMAGE = ["VAEDecode", "ImageScaleBy", "SaveImage"]
SAMPLED = ["IDPatchSampler", *IMAGE]
PLACED = ["IDPatchPlacer", "IDPatchRegionGate", *SAMPLED]
# The nodes that run after each change, and the steps.
EXPECTED = {
    "nothing": ([], 0),
    "seed": (SAMPLED, 2),
    "ControlNet strength": (SAMPLED, 2),
    "prompt": (["CLIPTextEncode", *SAMPLED], 2),
    "placement": (PLACED, 2),
    "last person's token strength": (["IDPatchFaceEncoder", "IDPatchBuilder", *PLACED], 2),
    "last person's name": (["IDPatchFaceEncoder", "IDPatchBuilder", *PLACED], 0),
    "first person's name": (["IDPatchFaceEncoder"] * 3 + ["IDPatchBuilder", *PLACED], 0),
}


@pytest.fixture(scope="module")
def runs(comfy_server):
    """Run the graph, then each change on top of those before, and return what ran."""
    graph = short_self_test()
    run_again(comfy_server.client, graph)
    found = {}
    for change, edit in CHANGES.items():
        graph = copy.deepcopy(graph)
        edit(graph)
        found[change] = run_again(comfy_server.client, graph)
    return found


@pytest.mark.parametrize("change", EXPECTED)
def test_a_change_runs_the_least(runs, change):
    nodes, steps = EXPECTED[change]
    assert sorted(runs[change].nodes) == sorted(nodes)
    assert runs[change].steps == steps
