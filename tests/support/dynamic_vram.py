"""Switches dynamic VRAM on for tests on the CPU, where ComfyUI itself would leave it off.

Its layers then defer their weights and its patchers are those that stream, as on a graphics card.
The streaming itself needs a graphics card: on the CPU ComfyUI falls back to an ordinary patcher.
"""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deferred_layers

PACK = Path(__file__).parent / "dynamic_vram_pack"  # switches it on in a server
DEFERRED = ("__init__", "_load_from_state_dict")


def switch(on: bool) -> None:
    """Switch dynamic VRAM on or off; models that are loaded already stay as they are."""
    import comfy.model_patcher as model_patcher
    import comfy.ops as ops

    if importlib.util.find_spec("comfy.memory_management"):
        _switch_flags(model_patcher, on)
        return
    # An older ComfyUI: it gets the layers of the newer ones, to see their faults here as well.
    linear: Any = ops.disable_weight_init.Linear
    for name in DEFERRED:
        if on:
            setattr(linear, name, vars(deferred_layers.Linear)[name])
        elif name in vars(linear):
            delattr(linear, name)  # the class inherits both


def _switch_flags(model_patcher: Any, on: bool) -> None:
    import comfy.memory_management as memory_management  # pyright: ignore[reportMissingImports]
    import comfy_aimdo.control  # pyright: ignore[reportMissingImports]

    if on:
        comfy_aimdo.control.init("cuda")  # which loads without a graphics card
    memory_management.aimdo_enabled = on
    kind = "ModelPatcherDynamic" if on else "ModelPatcher"
    model_patcher.CoreModelPatcher = getattr(model_patcher, kind)


def is_on() -> bool:
    """Return whether a layer that is made now defers its weights."""
    import comfy.ops as ops

    return ops.manual_cast.Linear(1, 1).weight is None


@contextlib.contextmanager
def dynamic_vram(on: bool = True) -> Iterator[None]:
    """Have it on or off while the block runs."""
    before = is_on()
    switch(on)
    try:
        yield
    finally:
        switch(before)
