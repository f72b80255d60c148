import pytest

from idpatch_core.comfyui.graph import (
    add_node,
    find_node,
    find_nodes,
    inputs_of,
    links,
    title_of,
)


@pytest.fixture
def graph():
    return {
        "3": {"class_type": "Load", "inputs": {"file": "a.png"}, "_meta": {"title": "Photo"}},
        "5": {"class_type": "Load", "inputs": {"file": "b.png"}},
        "9": {"class_type": "Mix", "inputs": {"one": ["3", 0], "two": ["5", 1], "size": [1, 2]}},
    }


def test_nodes_are_found_by_their_class(graph):
    assert find_nodes(graph, "Load") == ["3", "5"]
    assert find_nodes(graph, "Save") == []
    assert find_node(graph, "Mix") == "9"
    assert inputs_of(graph, "Mix") is graph["9"]["inputs"]


@pytest.mark.parametrize(("kind", "count"), [("Load", 2), ("Save", 0)])
def test_one_node_must_be_one(graph, kind, count):
    with pytest.raises(ValueError, match=f"must have one {kind} node, this one has {count}"):
        find_node(graph, kind)


def test_a_new_node_has_an_id_of_its_own(graph):
    assert add_node(graph, "Save", {"images": ["9", 0]}) == "10"
    assert graph["10"] == {"class_type": "Save", "inputs": {"images": ["9", 0]}}
    assert add_node({}, "Save", {}) == "1"


def test_only_links_are_links(graph):
    assert list(links(graph["9"])) == [("one", "3"), ("two", "5")]


def test_a_node_without_a_title_is_called_by_its_class(graph):
    assert [title_of(graph, id) for id in ("3", "5", "7")] == ["Photo", "Load", ""]
