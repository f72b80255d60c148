import sys

from pack import load_pack


def test_every_node_has_a_schema_that_comfyui_accepts(comfy):
    for node in comfy.nodes.NODES:
        node.GET_SCHEMA()


def test_a_comfyui_with_renamed_internals_still_loads_all_nodes(comfy, monkeypatch):
    import comfy.clip_model as clip_model
    import comfy.supported_models as supported_models

    monkeypatch.delattr(supported_models, "SDXL")
    monkeypatch.delattr(clip_model, "CLIPTextModel")
    name = "id_patch_beside_a_new_core"
    try:
        found = load_pack(name).nodes.NODES
    finally:
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]
    assert [node.__name__ for node in found] == [node.__name__ for node in comfy.nodes.NODES]
    for node in found:
        node.GET_SCHEMA()
