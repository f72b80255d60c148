import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from pack import load_pack

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize(
    ("folder", "warns"),
    [
        ("ComfyUI-ID-Patch", False),
        ("comfyui_id-patch.v1~2", False),
        ("ComfyUI-ID-Patch-main (1)", True),
        ("ID[Patch]", True),
        ("Jürgen", True),
    ],
)
def test_a_folder_that_comfyui_serves_no_javascript_from_is_named(tmp_path, caplog, folder, warns):
    (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "__init__.py", tmp_path / folder)
    spec = importlib.util.spec_from_file_location("p", tmp_path / folder / "__init__.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert len(caplog.messages) == warns
    assert all(repr(folder) in line and "Rename this folder" in line for line in caplog.messages)
