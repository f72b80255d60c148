"""Every node has a help page, whose lists of inputs and outputs are those of its schema."""

import re
from types import ModuleType
from typing import Any

import pytest

from tests import docs

LARGEST = 100_000  # bytes of an image


@pytest.fixture(scope="module")
def schemas(comfy: ModuleType) -> list[Any]:
    return [node.GET_SCHEMA() for node in comfy.nodes.NODES]


def test_pages_list_the_sockets_of_the_schemas(schemas):
    outdated = [one.node_id for one in schemas if docs.read_page(one) != docs.update_page(one)]
    assert not outdated, "Run `python3 -m tests.docs --write`."


def test_pages_have_the_title_of_the_node_and_an_example(schemas):
    for schema in schemas:
        page = docs.read_page(schema)
        assert page.startswith(f"# {schema.display_name}\n")
        assert "\n## Example\n" in page


def test_every_socket_has_a_tooltip(schemas):
    sockets = [
        (schema.node_id, socket)
        for schema in schemas
        for socket in [*schema.inputs, *(schema.outputs or [])]
    ]
    lacking = [(node, socket.id) for node, socket in sockets if not socket.tooltip]
    assert len(sockets) > 90 and not lacking


def test_the_readme_lists_every_node_and_template(schemas):
    rows = [
        line.split("|")[1]
        for line in (docs.ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    listed = {name.strip(" `") for row in rows for name in row.split(",")}
    named = {schema.display_name.removesuffix(" (ID-Patch)") for schema in schemas}
    templates = {path.stem for path in (docs.ROOT / "workflows").glob("*.json")}
    assert len(templates) >= 6 and named | templates <= listed


def test_no_page_without_a_node(schemas):
    pages = {page.stem for page in docs.PAGES.glob("*.md")}
    assert pages == {schema.node_id for schema in schemas}


def test_pages_show_images_that_exist_and_are_small():
    for page in docs.PAGES.glob("*.md"):
        images = re.findall(r"!\[.+?\]\((images/.+?)\)", page.read_text(encoding="utf-8"))
        assert images, page
        for image in images:
            assert 1000 < (docs.PAGES / image).stat().st_size < LARGEST


class Socket:
    id = "share"
    optional = True
    default = False
    tooltip = "From 0 to 1, *not* <percent>."

    def get_io_type(self) -> str:
        return "COMBO"


def test_an_input_is_described_in_one_line():
    assert docs.describe("share", Socket()) == (
        r"- **`share`** · choice · optional · default false<br>From 0 to 1, \*not\* \<percent>."
    )
