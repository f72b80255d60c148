"""The editor in headless Chromium: two frontends, each in both renderers."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from editor_page import CHROMIUM, FLAGS, EditorPage
from playwright.sync_api import Browser, sync_playwright

from idpatch_core.comfyui import environment
from idpatch_core.comfyui.server import comfyui_server

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts" / "browser"
FRONTEND = "comfyui-frontend-package"
COMBINATIONS = ["installed-classic", "installed-nodes2", "newest-classic", "newest-nodes2"]


def newest_frontend() -> Path:
    """Return the files of the newest frontend on PyPI, or of the newest fetched before."""
    cache = environment.cache_directory() / "frontends"
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--dest", str(cache), FRONTEND],
        capture_output=True,
        text=True,
    )
    wheels = sorted(cache.glob("*.whl"), key=version_of)
    if not wheels:
        pytest.exit(f"{FRONTEND} cannot be downloaded: {done.stderr}", 2)
    unpacked = cache / version_of_name(wheels[-1])
    if not (unpacked / ".complete").exists():
        with zipfile.ZipFile(wheels[-1]) as wheel:
            wheel.extractall(unpacked)
        (unpacked / ".complete").touch()
    return unpacked / "comfyui_frontend_package" / "static"


def version_of_name(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def version_of(wheel: Path) -> list[int]:
    return [int(part) for part in version_of_name(wheel).split(".") if part.isdigit()]


PHOTOS = ROOT / "tests" / "data" / "photos"


def add_photos(base: Path) -> None:
    """Put the tests' photos into a server's input folder."""
    (base / "input").mkdir(exist_ok=True)
    for photo in PHOTOS.glob("*.jpg"):
        shutil.copy(photo, base / "input")


@pytest.fixture(scope="session")
def newest_arguments(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The arguments of a server with the newest frontend."""
    frontend = request.config.getoption("--newest-frontend") or newest_frontend()
    return "--front-end-root", str(frontend)


@pytest.fixture(scope="session")
def newest_url(
    comfy_server, server_packs: list[Path], newest_arguments: tuple[str, ...]
) -> Iterator[str]:
    """A second server, with the newest frontend."""
    comfyui = environment.find_comfyui()
    assert comfyui
    models = comfy_server.models
    with comfyui_server(
        sys.executable, comfyui, models, packs=server_packs, arguments=newest_arguments
    ) as server:
        add_photos(server.base)
        yield server.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.exit(f"{CHROMIUM} is missing. Install Debian's chromium.", 2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=COMBINATIONS)
def combination(request: pytest.FixtureRequest) -> str:
    """A frontend and a renderer; all tests of one run before those of the next."""
    return request.param


@pytest.fixture(scope="session")
def session_page(
    browser: Browser, comfy_server, request: pytest.FixtureRequest, combination: str
) -> Iterator[EditorPage]:
    frontend, renderer = combination.split("-")
    add_photos(comfy_server.base)
    url = comfy_server.url if frontend == "installed" else request.getfixturevalue("newest_url")
    page = EditorPage(browser, url, vue=renderer == "nodes2", touch=True)
    yield page
    page.close()


@pytest.fixture
def editor(session_page: EditorPage) -> Iterator[EditorPage]:
    """A page with an empty graph; afterwards, nothing of ours may have complained."""
    session_page.clear()
    yield session_page
    assert session_page.complaints() == []


@pytest.fixture
def shots(combination: str) -> Path:
    return ARTIFACTS / combination
