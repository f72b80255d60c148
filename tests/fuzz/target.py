"""What a fuzz target is, and the check of one input: which errors and how much memory it takes."""

import gc
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from .mutations import Mutate

MEGABYTE = 1 << 20


class Target(NamedTuple):
    """A reader of files or texts of strangers.

    `run` reads one input, with a folder for its files, and raises nothing but `errors`. It may take
    three times the input's size and `allowance(data)` bytes. `mutate` returns another input, or
    None where it cannot.
    """

    run: Callable[[bytes, Path], object]
    seeds: Callable[[], list[bytes]]
    mutate: Callable[[bytes, Random, Mutate], bytes | None]
    errors: tuple[type[Exception], ...] = (ValueError,)
    allowance: Callable[[bytes], int] = lambda data: 32 * MEGABYTE


class ForeignError(AssertionError):
    """An exception that is not one of the project's own."""


class TooMuchMemory(AssertionError):
    """An input that takes more memory than it may."""


def check_input(target: Target, data: bytes, folder: Path) -> bool:
    """Read one input; return whether it was accepted.

    Raises ForeignError or TooMuchMemory if it is not read as it should be.
    """
    before = _reset_peak()
    foreign, accepted = None, False
    try:
        target.run(data, folder)
        accepted = True
    except target.errors:
        pass
    except Exception as error:
        foreign = error
    taken = _read_status("VmHWM") - before
    if foreign is not None:
        raise ForeignError(f"{type(foreign).__name__}: {foreign}"[:300]) from foreign
    if taken > 3 * len(data) + target.allowance(data):
        gc.collect()
        raise TooMuchMemory(
            f"{len(data)} bytes took {taken / MEGABYTE:.0f} MiB, expected at most three times as "
            f"much and {target.allowance(data) / MEGABYTE:.0f} MiB"
        )
    return accepted


def _reset_peak() -> int:
    """Let the kernel count this process's peak memory anew; return its memory now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _read_status("VmRSS")


def _read_status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
