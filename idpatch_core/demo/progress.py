"""A progress bar for a ComfyUI prompt: how much of the graph is done, and which node runs."""

import shutil
import sys
import time
from typing import TextIO

from ..comfyui.client import Event, Prompt

WIDTH = 24  # characters of the bar


class ProgressBar:
    """Shows events as one line that is redrawn; without a terminal, as a line for each node."""

    def __init__(self, prompt: Prompt, output: TextIO = sys.stdout):
        self._nodes = len(prompt)
        self._begun: set[str] = set()
        self._output = output
        self._start = time.monotonic()
        self._redraw = output.isatty()

    def __call__(self, event: Event) -> None:
        if event.kind not in ("cached", "executing", "progress"):
            return
        known = event.node in self._begun
        self._begun.add(event.node)
        if event.kind == "cached" or (known and event.kind == "executing"):
            return
        inside = event.value / event.total if event.total else 0.0
        share = (len(self._begun) - 1 + inside) / self._nodes
        steps = f" {event.value}/{event.total}" if event.total > 1 else ""
        if self._redraw:
            self._draw(share, event.title + steps)
        elif not known or event.value == event.total:
            self._output.write(f"{share:4.0%} {event.title}{steps}\n")
            self._output.flush()

    def close(self) -> None:
        """Finish the line, with the time that all took."""
        seconds = time.monotonic() - self._start
        if self._redraw:
            self._draw(1.0, f"done in {seconds:.1f} s")
            self._output.write("\n")
        else:
            self._output.write(f"100% done in {seconds:.1f} s\n")
        self._output.flush()

    def _draw(self, share: float, text: str) -> None:
        full = round(share * WIDTH)
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%} {text}"
        columns = shutil.get_terminal_size().columns - 1
        self._output.write("\r" + line[:columns].ljust(columns))
        self._output.flush()
