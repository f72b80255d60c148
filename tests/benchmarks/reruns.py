"""What a live server runs again after each kind of change: its own execution log.

The self test (three people of a chain of Face Encoders, two steps) runs once, then with one change
after the other.
"""

import argparse
import copy
import os
import sys
from pathlib import Path
from typing import Any

from .machine import ROOT


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=2)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return for each change the nodes that ran and the steps that were sampled."""
    sys.path.append(str(ROOT / "tests" / "support"))
    from reruns import CHANGES, run_again, short_self_test

    from idpatch_core.comfyui.client import ComfyClient
    from idpatch_core.comfyui.server import comfyui_server

    comfyui = Path(os.environ["COMFYUI_PATH"])
    rows = []
    with (
        comfyui_server(Path(sys.executable), comfyui, {}) as server,
        ComfyClient(server.url) as client,
    ):
        graph = short_self_test(options.steps)
        first = run_again(client, graph)
        rows.append({"change": "first run", "nodes": first.nodes, "steps": first.steps})
        for change, edit in CHANGES.items():
            graph = copy.deepcopy(graph)
            edit(graph)
            ran = run_again(client, graph)
            rows.append({"change": change, "nodes": ran.nodes, "steps": ran.steps})
    return {"settings": {"steps": options.steps}, "rows": rows}
