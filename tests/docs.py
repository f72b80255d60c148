"""Writes what is made from the nodes' schemas: the help pages' lists, and the files of node_files.

    python3 -m tests.docs            say which files differ from their nodes
    python3 -m tests.docs --write    write them

A page's lists of inputs and outputs are written; everything else on it is by hand. They are no
tables, because ComfyUI shows the pages in a side panel of 300 pixels.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from idpatch_core.comfyui import environment

from . import node_files

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "web" / "docs"
START = "<!-- {name}: written by python3 -m tests.docs -->"
END = "<!-- end of {name} -->"


def main(arguments: list[str]) -> int:
    if unknown := set(arguments) - {"--write"}:
        print(f"error: unknown argument {', '.join(unknown)}\n\n{__doc__}", file=sys.stderr)
        return 2
    try:
        here = environment.prepare_environment(tests=True)
    except environment.SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if Path(sys.executable) != here.python:
        return subprocess.run([here.python, "-m", "tests.docs", *arguments], cwd=ROOT).returncode
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from pack import load_pack, prepare_comfyui

    with tempfile.TemporaryDirectory() as base:
        prepare_comfyui(here.comfyui, Path(base))
        schemas = [node.GET_SCHEMA() for node in load_pack().nodes.NODES]
    try:
        made = {page_path(schema): update_page(schema) for schema in schemas}
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    made |= node_files.write_files(schemas)
    outdated = [path for path, text in made.items() if not is_written(path, text)]
    for path in outdated:
        if "--write" in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path], encoding="utf-8")
        print(os.path.relpath(path))
    return 1 if outdated and "--write" not in arguments else 0


def is_written(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def page_path(schema: Any) -> Path:
    return PAGES / f"{schema.node_id}.md"


def read_page(schema: Any) -> str:
    return page_path(schema).read_text(encoding="utf-8")


def update_page(schema: Any) -> str:
    """Return a node's help page with the lists of its schema.

    Raises ValueError if the page lacks the comments that enclose them.
    """
    page = read_page(schema)
    inputs = [describe(socket.id, socket) for socket in schema.inputs]
    outputs = [
        describe(socket.display_name or socket.io_type, socket) for socket in schema.outputs or []
    ]
    for name, items in (("inputs", inputs), ("outputs", outputs)):
        start, end = START.format(name=name), END.format(name=name)
        if page.count(start) != 1 or page.count(end) != 1:
            raise ValueError(
                f"{page_path(schema)}: expected one line {start!r} and one line {end!r}. "
                "Copy them from the page of another node."
            )
        before, after = page.split(start)[0], page.split(end)[1]
        page = "\n\n".join([before + start, "\n".join(items) or "None.", end + after])
    return page


def describe(name: str, socket: Any) -> str:
    """Return the item of an input or output: name, type, default and tooltip."""
    io_type = socket.get_io_type()
    facts = [f"**`{name}`**", "choice" if io_type == "COMBO" else io_type]
    if getattr(socket, "optional", False):
        facts.append("optional")
    default = getattr(socket, "default", None)
    if default not in (None, ""):
        facts.append(f"default {str(default).lower() if isinstance(default, bool) else default}")
    return f"- {' · '.join(facts)}<br>{escape(socket.tooltip)}"


def escape(text: str) -> str:
    """Return text for Markdown that shows it as it is."""
    return re.sub(r"([*<])", r"\\\1", text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
