"""Notes SIGTERM, with which schedulers end a job, so that a run can save before it ends."""

import signal
import threading
from types import FrameType
from typing import Any

EXIT_CODE = 128 + signal.SIGTERM  # what a shell reports for a process that SIGTERM ended


class StopSignal:
    """While it is entered, SIGTERM sets `received` and does not end the process."""

    def __init__(self) -> None:
        self.received = False
        self._previous: Any = None

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():  # others cannot set handlers
            self._previous = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True

    def reached(self, accelerator: Any) -> bool:
        """Return whether any process has received the signal; all processes must call this."""
        if accelerator.num_processes == 1:
            return self.received
        if self.received:
            accelerator.set_trigger()
        return accelerator.check_trigger()
