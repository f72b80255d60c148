"""Fixtures that need a real ComfyUI: the pack loaded in this process, and a live server."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import pytest

from idpatch_core.comfyui.environment import Environment, find_comfyui

if TYPE_CHECKING:
    from idpatch_core.comfyui.client import ComfyClient

TESTS = Path(__file__).parent
TIERS = {  # the marker of each folder's tests; the others have none
    "live": "live",
    "browser": "browser",
    "idpatch_core/training": "training",
    "idpatch_core/demo_world": "training",
}


def comfyui_path() -> Path:
    """Return the ComfyUI to test in: COMFYUI_PATH, or what `python3 -m tests` downloaded."""
    path = find_comfyui()
    if path is None:
        pytest.exit("No ComfyUI. Set COMFYUI_PATH, or run `python3 -m tests`.", 2)
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--dynamic-vram",
        action="store_true",
        help="run ComfyUI as with dynamic VRAM: layers defer their weights until they are loaded",
    )
    parser.addoption(
        "--newest-frontend", type=Path, help="a frontend's files, for the browser tests"
    )


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder's tier, and put the browser tests last.

    Playwright leaves an event loop running in this thread.
    """
    for item in items:
        for folder, tier in TIERS.items():
            if item.path.is_relative_to(TESTS / folder):
                item.add_marker(tier)
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> ModuleType:
    """The pack inside ComfyUI, on the CPU: `comfy.nodes.sampler.IDPatchSampler` and so on.

    Its modules can also be imported as `comfyui_id_patch.nodes.sampler`, and ComfyUI's own as
    `comfy.…` and `folder_paths`, inside a test or fixture that asks for this one.
    """
    from pack import load_pack, prepare_comfyui

    prepare_comfyui(comfyui_path(), tmp_path_factory.mktemp("comfyui"))
    if request.config.getoption("--dynamic-vram"):
        from dynamic_vram import switch

        switch(True)
    return load_pack()


class TinySDXL(NamedTuple):
    """The reference UNet and ControlNet; their weights are shared by all tests: do not patch."""

    model: object  # comfy.model_patcher.ModelPatcher
    control_net: object  # comfy.controlnet.ControlNet


@pytest.fixture(scope="session")
def tiny_sdxl(comfy: ModuleType) -> TinySDXL:
    """The tiny SDXL-shaped MODEL and CONTROL_NET that the reference cases were made with."""
    from reference_models import tiny_control_net, tiny_model

    return TinySDXL(tiny_model(), tiny_control_net())


class ComfyServer(NamedTuple):
    url: str
    client: "ComfyClient"
    base: Path  # its --base-directory
    models: dict[str, Path]  # the stand-in models, by their path below base / "models"


@pytest.fixture(scope="session")
def server_packs(request: pytest.FixtureRequest) -> list[Path]:
    """The custom nodes that the tests' servers have besides the pack."""
    import dynamic_vram
    import standins

    more = [dynamic_vram.PACK] if request.config.getoption("--dynamic-vram") else []
    return [standins.PACK, *more]


@pytest.fixture(scope="session")
def comfy_server(server_packs: list[Path]) -> Iterator[ComfyServer]:
    """A live server with the pack, and the stand-in models, on the CPU."""
    import standins

    from idpatch_core.comfyui.client import ComfyClient
    from idpatch_core.comfyui.server import comfyui_server

    here = Environment(Path(sys.executable), comfyui_path())
    models = standins.standin_models(here)
    with (
        comfyui_server(here.python, here.comfyui, models, packs=server_packs) as server,
        ComfyClient(server.url) as client,
    ):
        yield ComfyServer(server.url, client, server.base, models)
