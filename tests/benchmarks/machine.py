"""Where a benchmark ran: hardware and versions, for its result."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "diffusers", "numpy", "opencv-python-headless")


def describe_machine() -> dict[str, Any]:
    """Return the processor, memory, graphics card and versions of this process."""
    import psutil
    import torch

    cuda = torch.cuda.is_available()
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "comfyui": _comfyui_version(),
        **{name: _version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _comfyui_version() -> str:
    for line in Path(os.environ["COMFYUI_PATH"], "comfyui_version.py").read_text().splitlines():
        if line.startswith("__version__"):
            return line.partition("=")[2].strip().strip('"')
    return "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def load_pack_in_comfyui(device: str = "cpu", *flags: str) -> Any:
    """Start ComfyUI in this process as its command line does, and return the pack."""
    sys.path[:0] = [os.environ["COMFYUI_PATH"], str(ROOT / "tests" / "support")]
    arguments, sys.argv = sys.argv, ["main.py", *(["--cpu"] if device == "cpu" else []), *flags]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.cli_args
    from pack import load_pack

    sys.argv = arguments
    return load_pack()
