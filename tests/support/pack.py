"""Loads the repository as ComfyUI loads a custom node: as a package of its own name."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def load_pack(name: str = "comfyui_id_patch") -> ModuleType:
    """Import the repository as a package of this name, as ComfyUI loads a custom node."""
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec and spec.loader
    pack = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = pack
    spec.loader.exec_module(pack)
    importlib.import_module(f"{name}.nodes")
    return pack


def prepare_comfyui(comfyui: Path, base: Path) -> None:
    """Make ComfyUI's modules importable: on the CPU, with its models and files below `base`."""
    # Before the repository's root: `nodes` is ComfyUI's, ours is `comfyui_id_patch.nodes`.
    sys.path.insert(0, str(comfyui))
    arguments = sys.argv
    sys.argv = ["main.py", "--cpu", "--base-directory", str(base)]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args

        # As main.py does: ComfyUI's `nodes` puts comfy/ on the path, whose utils.py would hide it.
        importlib.import_module("utils.extra_config")
    finally:
        sys.argv = arguments
