"""A newer ComfyUI gets the fields of its schemas, an older one the schemas that it knows."""

import inspect

import pytest


def knows(field: str) -> bool:
    from comfy_api.v0_0_2 import io

    return field in inspect.signature(io.Schema).parameters


def test_search_aliases_find_each_node_where_the_core_knows_them(comfy):
    for node in comfy.nodes.NODES:
        schema, info = node.GET_SCHEMA(), node.GET_NODE_INFO_V1()
        assert schema.search_aliases
        assert schema.display_name not in schema.search_aliases
        given = info.get("search_aliases")
        assert given == (schema.search_aliases if knows("search_aliases") else None)


def test_nodes_that_show_something_send_them_again_after_a_reload(comfy):
    nodes = comfy.nodes.NODES
    shown = {node.__name__ for node in nodes if node.GET_SCHEMA().has_intermediate_output}
    assert shown == {
        "IDPatchFaceEncoder",
        "IDPatchLoadIdentities",
        "IDPatchPeople",
        "IDPatchPickBest",
        "IDPatchUntilRight",
    }
    if knows("has_intermediate_output"):
        assert {node.__name__ for node in nodes if node.HAS_INTERMEDIATE_OUTPUT} == shown


ADVANCED = {
    "IDPatchFaceEncoder": {"min_face_size", "weights", "token_strength"},
    "IDPatchPeople": {"min_face_size"},
    "IDPatchLoadModel": {"weight_dtype"},
    "IDPatchTokenInjector": {"token_strength"},
    "IDPatchApplyControlNet": {"start_percent", "end_percent", "guide_patches"},
    "IDPatchSampler": {
        "denoise",
        "token_strength",
        "guide_patches",
        "control_end",
        "guidance_end",
        "reuse_tokens",
    },
    "IDPatchRefine": {"control_strength", "guide_patches"},
    "IDPatchUntilRight": {
        "token_strength",
        "guide_patches",
        "preset",
        "refine_steps",
        "refine_denoise",
        "crop_size",
        "face_size",
    },
}


def test_advanced_inputs_are_folded_away_where_the_core_knows_it(comfy):
    from comfy_api.v0_0_2 import io

    known = "advanced" in inspect.signature(io.Input).parameters
    for node in comfy.nodes.NODES:
        inputs = node.GET_NODE_INFO_V1()["input"]
        specs = {**inputs.get("required", {}), **inputs.get("optional", {})}
        marked = {name for name, spec in specs.items() if spec[1:] and spec[1].get("advanced")}
        assert marked == (ADVANCED.get(node.__name__, set()) if known else set())
        assert set(node.GET_SCHEMA().advanced) == ADVANCED.get(node.__name__, set())


def test_an_advanced_input_that_is_no_input_is_a_mistake(comfy):
    with pytest.raises(ValueError, match=r"Example has no input sead, seed"):
        comfy.nodes.schema.Schema("Example", advanced=("seed", "sead"))
