"""Time per step and peak memory of sampling with ID-Patch, against the same without it.

The plain run has the same ControlNet, an image as its hint and only text tokens. All runs take
turns in one process, so that the ratios are measured side by side; every figure is the median of
the rounds. On the CPU the time is CPU time. By default the tiny networks of the tests run on the
CPU; `--full-size` makes SDXL's UNet and ControlNet with random bfloat16 weights on the CUDA device
and samples at 1024x1024.
"""

import argparse
import functools
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .machine import load_pack_in_comfyui

PLAIN = "no ID-Patch"  # name of the run without it
TFLOP = 9.8  # SDXL's UNet and ControlNet, one sample and step at 1024x1024

Run = Callable[[], None]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full-size", action="store_true", help="SDXL's own size, on CUDA")
    parser.add_argument("--device", help="cuda or cpu; default: cuda for --full-size, else cpu")
    parser.add_argument("--size", type=int, help="side of the image; default 1024 or 256")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 3, 5, 10])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reuse-tokens", action="store_true", help="also with this option")
    parser.add_argument(
        "--peak-tflops", type=float, help="the card's bfloat16 limit by its data sheet"
    )


def measure_tflops(device: str) -> float:
    """Return the speed of the device in a large bfloat16 matrix product."""
    import torch

    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    for _ in range(5):
        torch.mm(a, a)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(50):
        torch.mm(a, a)
    torch.cuda.synchronize()
    return 50 * 2 * 8192**3 / (time.perf_counter() - start) / 1e12


class PeakMemory:
    """Measures the highest memory use above the start: of the device, or of this process.

    With `anonymous` the process's mapped files are left out.
    """

    def __init__(self, device: str, anonymous: bool = False):
        self.device, self.anonymous = device, anonymous

    def __enter__(self) -> "PeakMemory":
        import torch

        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            return self
        self.start = self.peak = self._read()
        self.running = True

        def sample_memory() -> None:
            while self.running:
                self.peak = max(self.peak, self._read())
                time.sleep(0.001)

        self.sampler = threading.Thread(target=sample_memory)
        self.sampler.start()
        return self

    def _read(self) -> int:
        import psutil

        if self.anonymous:
            lines = Path("/proc/self/status").read_text().splitlines()
            return 1024 * int(next(x for x in lines if x.startswith("RssAnon")).split()[1])
        return psutil.Process().memory_info().rss

    def __exit__(self, *_: object) -> None:
        import torch

        if self.device == "cuda":
            self.mib = torch.cuda.max_memory_allocated() / 2**20
            return
        self.running = False
        self.sampler.join()
        self.mib = self.peak / 2**20


def make_runs(options: argparse.Namespace, device: str, size: int) -> dict[str, Run]:
    """Return the plain run and one for each number of people."""
    pack = load_pack_in_comfyui(device)
    from .networks import Networks

    networks = Networks.full_size(pack, device) if options.full_size else Networks.tiny(pack)
    # ID tokens in every step: the highest cost.
    settings = {"steps": options.steps, "scheduler": "normal", "injection_ratio": 1.0}
    sample = functools.partial(networks.sample, side=size, **settings)
    runs: dict[str, Run] = {PLAIN: functools.partial(sample, people=0)}
    for people in options.people:
        name = f"{people} {'person' if people == 1 else 'people'}"
        runs[name] = functools.partial(sample, people=people)
        if options.reuse_tokens:
            runs[f"{name}, reuse_tokens"] = functools.partial(
                sample, people=people, reuse_tokens=True
            )
    return runs


def measure_runs(
    runs: dict[str, Run], rounds: int, steps: int, device: str
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return seconds per step and peak memory in MiB of each run, one value for each round."""
    import torch

    # On the CPU the process's own time, with which other work hardly interferes.
    clock = time.perf_counter if device == "cuda" else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    memory: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):  # the first warms up
        for name, run in runs.items():
            progress = f"round {round_number}/{rounds}  {name:30}"
            print(f"\r{progress}", end="", file=sys.stderr)
            with PeakMemory(device) as peak:
                start = clock()
                run()
                if device == "cuda":
                    torch.cuda.synchronize()
                elapsed = clock() - start
            if round_number > 0:
                seconds[name].append(elapsed / steps)
                memory[name].append(peak.mib)
    print(file=sys.stderr)
    return seconds, memory


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return for each run the time of a step and the peak memory, against the plain run."""
    device = options.device or ("cuda" if options.full_size else "cpu")
    size = options.size or (1024 if options.full_size else 256)
    runs = make_runs(options, device, size)
    seconds, memory = measure_runs(runs, options.rounds, options.steps, device)
    rows = []
    for name, own in seconds.items():
        # The median of each round's ratio: a slow moment of the machine slows a whole round.
        ratios = [a / b for a, b in zip(own, seconds[PLAIN], strict=True)]
        peak, plain = statistics.median(memory[name]), statistics.median(memory[PLAIN])
        row = {"run": name, "ms": 1000 * statistics.median(own), "mib": peak}
        row |= {"ratio": statistics.median(ratios), "ratio_range": [min(ratios), max(ratios)]}
        rows.append({**row, "memory_ratio": peak / plain})
    settings = {"size": size, "steps": options.steps, "rounds": options.rounds}
    networks = "SDXL, bfloat16" if options.full_size else "tiny networks, float32"
    result: dict[str, Any] = {"settings": {**settings, "networks": networks}, "rows": rows}
    if options.full_size and device == "cuda":
        limit = options.peak_tflops or measure_tflops(device)
        step_tflop = 2 * TFLOP * (size / 1024) ** 2
        for row in rows:
            row["limit_share"] = step_tflop / (row["ms"] / 1000) / limit
        result["limit_tflops"] = limit
    return result
