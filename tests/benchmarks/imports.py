"""What the pack adds to ComfyUI's start: CPU time and modules, each in a process of its own."""

import argparse
import statistics
import subprocess
import sys
from typing import Any

from .machine import ROOT

CODE = """
import asyncio, sys, time
from tests.benchmarks import machine
sys.path[:0] = [__import__("os").environ["COMFYUI_PATH"], "tests/support"]
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import comfy.samplers, comfy.controlnet, comfy.sample, latent_preview, nodes, folder_paths
from comfy_api.v0_0_2 import io
import pack
before, start = set(sys.modules), time.process_time()
loaded = pack.load_pack()
asyncio.run(asyncio.wait_for(loaded.comfy_entrypoint(), 60))
seconds = time.process_time() - start
new = set(sys.modules) - before
own = [name for name in new if name.startswith("comfyui_id_patch")]
print(seconds, len(own), len(new) - len(own))
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the CPU seconds of loading the pack, and the modules that this loads."""
    runs = []
    for _ in range(options.rounds):
        command = [sys.executable, "-c", CODE]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        runs.append([float(number) for number in done.stdout.split()[-3:]])
    seconds = [run[0] for run in runs]
    return {
        "settings": {"rounds": options.rounds},
        "ms": 1000 * statistics.median(seconds),
        "range": [1000 * min(seconds), 1000 * max(seconds)],
        "own_modules": int(runs[0][1]),
        "other_modules": int(runs[0][2]),
    }
