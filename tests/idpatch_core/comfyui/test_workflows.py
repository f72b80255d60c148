from typing import Any

import pytest

from idpatch_core.comfyui.workflows import TITLES, load_workflow, read_graph, ui_file


def list_nodes(workflow: dict[str, Any]) -> dict[str, str]:
    """Return the types of a workflow's nodes by their ids in API form."""
    subgraphs = {one["id"]: one for one in workflow.get("definitions", {}).get("subgraphs", [])}
    nodes = {}
    for node in workflow["nodes"]:
        if node["type"] not in subgraphs:
            nodes[str(node["id"])] = node["type"]
        for inner in subgraphs.get(node["type"], {}).get("nodes", []):
            nodes[f"{node['id']}:{inner['id']}"] = inner["type"]
    return nodes


def test_a_bundled_workflow_has_the_same_nodes_in_both_forms():
    for name in TITLES:
        graph, workflow = load_workflow(name)
        ui_nodes = list_nodes(workflow)
        assert graph.items() and {id: node["class_type"] for id, node in graph.items()} == {
            id: kind for id, kind in ui_nodes.items() if kind not in ("Note", "MarkdownNote")
        }


def test_the_group_photo_has_ten_nodes():
    assert len(load_workflow("group_photo")[1]["nodes"]) == 10


def test_the_ui_form_is_refused_with_the_way_to_the_api_form():
    with pytest.raises(ValueError, match=r"is not in API form\. In ComfyUI choose"):
        read_graph(ui_file("group_photo"))


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "workflow.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name in ("workflow.json", "deep.json", "gone.json"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read"):
            read_graph(tmp_path / name)


def test_missing_nodes_can_be_found_in_the_registry():
    for name in TITLES:
        _, workflow = load_workflow(name)
        packs = {node["type"]: node["properties"].get("cnr_id") for node in workflow["nodes"]}
        ours = {kind: pack for kind, pack in packs.items() if kind.startswith("IDPatch")}
        assert ours and set(ours.values()) == {"comfyui-id-patch"}
