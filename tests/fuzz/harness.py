"""Runs one target under atheris until its time is over, and writes down what it finds."""

import contextlib
import hashlib
import importlib
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOUND = Path(__file__).parent / "found"  # inputs that were found and mended
INSTRUMENTED = {
    "checkpoints": ["idpatch_core", "zipfile", "pickletools"],
    "images": ["idpatch_core", "PIL"],
}
WRITE_EVERY = 5.0  # seconds
SHARED_MEMORY = Path("/dev/shm")


class Findings:
    """Counts inputs and findings, and keeps the first input of each kind, in a folder."""

    def __init__(self, folder: Path):
        self.folder, self.begin, self.written = folder, time.monotonic(), 0.0
        self.executions = self.accepted = 0
        self.slowest = 0.0
        self.kinds: Counter[str] = Counter()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, error: Exception, data: bytes) -> None:
        kind = describe_kind(error)
        self.kinds[kind] += 1
        if self.kinds[kind] == 1:
            name = hashlib.sha256(kind.encode()).hexdigest()[:12]
            (self.folder / f"{name}.bin").write_bytes(data)
            (self.folder / f"{name}.txt").write_text(
                f"{kind}\n" + "".join(traceback.format_exception(error)), errors="replace"
            )
            self.write()

    def write(self) -> None:
        self.written = time.monotonic()
        content = {
            "seconds": round(self.written - self.begin),
            "executions": self.executions,
            "accepted": self.accepted,
            "slowest_seconds": round(self.slowest, 2),
            "findings": self.kinds,
        }
        (self.folder / "figures.json").write_text(json.dumps(content, indent=1))


def describe_kind(error: Exception) -> str:
    """Return what an error is and where in the project it came from."""
    cause = error.__cause__
    if cause is None:
        return type(error).__name__
    frames = traceback.extract_tb(cause.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(ROOT / "idpatch_core")]
    place = own[-1] if own else frames[-1]
    return f"{type(cause).__name__} in {Path(place.filename).name}, line {place.lineno}"


def read_found(name: str) -> dict[str, bytes]:
    """Return the inputs that were found for a target, by the name of their file."""
    return {path.name: path.read_bytes() for path in sorted((FOUND / name).glob("*"))}


def fuzz(name: str, seconds: float, out: Path, longest: int) -> None:
    """Fuzz a target for some seconds; does not return. `longest` is in bytes."""
    import atheris  # pyright: ignore[reportMissingModuleSource]

    sys.path.append(str(ROOT / "tests" / "support"))
    with atheris.instrument_imports(include=INSTRUMENTED.get(name, ["idpatch_core"])):
        target = importlib.import_module(f"tests.fuzz.targets.{name}").TARGET
        from .target import check_input
    import torch

    torch.set_num_threads(1)
    findings = Findings(out / "findings")
    corpus = out / "corpus"
    corpus.mkdir(exist_ok=True)
    shared = str(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(dir=shared))
    for number, seed in enumerate([*target.seeds(), *read_found(name).values()]):
        (corpus / f"seed-{number:03}").write_bytes(seed)
        with contextlib.suppress(AssertionError):  # imports take memory, here and not below
            check_input(target, seed, folder)

    def run(data: bytes) -> None:
        begin = time.monotonic()
        try:
            findings.accepted += check_input(target, data, folder)
        except AssertionError as error:
            findings.add(error, data)
        findings.executions += 1
        end = time.monotonic()
        findings.slowest = max(findings.slowest, end - begin)
        if end - findings.written > WRITE_EVERY:
            findings.write()

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        random = Random(seed)

        def mutate_bytes(content: bytes) -> bytes:
            return atheris.Mutate(content, len(content) + 32)

        changed: Any = None
        if random.random() < 0.8:
            changed = target.mutate(data, random, mutate_bytes)
        if changed is None:
            changed = mutate_bytes(data)
        return changed[:size]

    options = [f"-max_total_time={seconds:.0f}", f"-max_len={longest}", "-rss_limit_mb=12000"]
    options += ["-timeout=120", "-print_final_stats=1", f"-artifact_prefix={out}/"]
    findings.begin = time.monotonic()
    atheris.Setup([name, *options, str(corpus)], run, custom_mutator=mutate)
    atheris.Fuzz()
