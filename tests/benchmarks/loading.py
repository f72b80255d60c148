"""Loading the projections beside reading their file: CPU time, and the memory that it takes.

Files of the released shapes with random weights are written to a temporary folder and read in
turns, from a warm cache. Memory is the peak of what the process itself holds, without the mapped
file, in a process of its own.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .machine import ROOT, load_pack_in_comfyui

FILES = {"released.bin": None, "ours.safetensors": None, "ours, fp16.safetensors": "fp16"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return for each file the CPU seconds of reading and of loading it, and the memory."""
    pack = load_pack_in_comfyui()
    import torch
    from projection_states import released_shapes

    torch.set_num_threads(1)
    if options.memory_of:
        return {"mib": measure_memory(pack, options.memory_of)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        states = [
            {name: torch.randn(shape) for name, shape in released_shapes(*sizes).items()}
            for sizes in ((3, 4096), (16, 2048))
        ]
        for name, dtype in FILES.items():
            path = Path(folder, name)
            weight_dtype = pack.idpatch_core.weights.WEIGHT_DTYPES.get(dtype)
            pack.idpatch_core.checkpoint.write_id_patch(path, *states, dtype=weight_dtype)
        del states
        for name in FILES:
            path = Path(folder, name)
            read, loaded = [], []
            for turn in range(options.rounds + 1):
                start = time.process_time()
                path.read_bytes()
                middle = time.process_time()
                with torch.inference_mode():
                    pack.nodes.model.load_id_patch(path)
                if turn:  # the first fills the cache
                    read.append(middle - start)
                    loaded.append(time.process_time() - middle)
            ratios = [b / a for a, b in zip(read, loaded, strict=True)]
            size = path.stat().st_size / 2**20
            peak = memory_in_process(path)
            row = {"file": name, "file_mib": size, "peak_mib": peak, "peak_ratio": peak / size}
            row |= {"read_s": statistics.median(read), "load_s": statistics.median(loaded)}
            row |= {"ratio": statistics.median(ratios), "ratio_range": [min(ratios), max(ratios)]}
            rows.append(row)
    return {"settings": {"rounds": options.rounds}, "rows": rows}


def memory_in_process(path: Path) -> float:
    code = (
        "import sys, argparse; from pathlib import Path; from tests.benchmarks import loading;"
        "options = argparse.Namespace(memory_of=Path(sys.argv[1]));"
        "print(loading.measure(options)['mib'])"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def measure_memory(pack: Any, path: Path) -> float:
    """Return by how many MiB loading raises what this process itself holds."""
    import torch

    from .sampling import PeakMemory

    with PeakMemory("cpu", anonymous=True) as peak, torch.inference_mode():
        pack.nodes.model.load_id_patch(path)
    return peak.mib - peak.start / 2**20
