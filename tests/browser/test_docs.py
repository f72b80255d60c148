"""Every node has a help page with all its inputs and outputs."""

import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "web" / "docs"
LARGEST = 100_000  # bytes of an image


@pytest.fixture(scope="module")
def nodes(comfy: ModuleType) -> list:
    return comfy.nodes.NODES


def test_every_node_has_a_page_on_all_its_sockets(nodes: list):
    for node in nodes:
        schema = node.GET_SCHEMA()
        page = (DOCS / f"{schema.node_id}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {schema.display_name}\n")
        for socket in schema.inputs:
            assert f"| `{socket.id}` |" in page, f"{schema.node_id}: {socket.id}"
        for socket in schema.outputs or []:
            name = socket.display_name or socket.io_type
            assert f"| `{name}` |" in page, f"{schema.node_id}: {name}"
        assert "## Example" in page


def test_pages_show_images_that_exist_and_are_small():
    for page in DOCS.glob("*.md"):
        images = re.findall(r"!\[.+?\]\((images/.+?)\)", page.read_text(encoding="utf-8"))
        assert images, page
        for image in images:
            assert 1000 < (DOCS / image).stat().st_size < LARGEST


def test_no_page_without_a_node(nodes: list):
    pages = {page.stem for page in DOCS.glob("*.md")}
    assert pages == {node.GET_SCHEMA().node_id for node in nodes}
