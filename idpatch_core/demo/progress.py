"""A progress bar for a ComfyUI prompt: the share of its graph that ran, and the current node."""

import shutil
import sys
import time
from typing import TextIO

from ..comfyui.events import Event
from ..comfyui.graph import Graph

BAR_WIDTH = 24  # characters


class ProgressBar:
    """Shows events on one line that it redraws or, without a terminal, on a line for each node."""

    def __init__(self, graph: Graph, output: TextIO = sys.stdout):
        self._nodes = len(graph)
        self._started: set[str] = set()
        self._output = output
        self._start = time.monotonic()
        self._redraw = output.isatty()

    def __call__(self, event: Event) -> None:
        if event.kind not in ("cached", "executing", "progress"):
            return
        known = event.node in self._started
        self._started.add(event.node)
        if event.kind == "cached" or (known and event.kind == "executing"):
            return
        progress = event.value / event.total if event.total else 0.0
        share = (len(self._started) - 1 + progress) / self._nodes
        steps = f" {event.value}/{event.total}" if event.total > 1 else ""
        if self._redraw:
            self._draw(share, event.title + steps)
        elif not known or event.value == event.total:
            self._output.write(f"{share:4.0%} {event.title}{steps}\n")
            self._output.flush()

    def close(self) -> None:
        """Finish the line with the total time."""
        seconds = time.monotonic() - self._start
        if self._redraw:
            self._draw(1.0, f"done in {seconds:.1f} s")
            self._output.write("\n")
        else:
            self._output.write(f"100% done in {seconds:.1f} s\n")
        self._output.flush()

    def _draw(self, share: float, text: str) -> None:
        full = round(share * BAR_WIDTH)
        line = f"[{'#' * full}{'.' * (BAR_WIDTH - full)}] {share:4.0%} {text}"
        columns = shutil.get_terminal_size().columns - 1
        self._output.write("\r" + line[:columns].ljust(columns))
        self._output.flush()
