"""Converts between the released id-patch.bin and our .safetensors.

python idpatch_core/convert.py id-patch.bin id-patch.safetensors --dtype fp16
"""

import argparse
import importlib
import sys
from pathlib import Path

import torch

if not __package__:  # run by its path, which isolated Pythons do not search for modules
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = importlib.import_module("idpatch_core").__name__

from .checkpoint import check_projections, read_id_patch, write_id_patch
from .weights import WEIGHT_DTYPES


def convert(source: Path, target: Path, dtype: torch.dtype | None, force: bool) -> None:
    """Read one format, write the other, and print what was read and written.

    Raises ValueError if the source is no ID-Patch model, or if the target exists and `force` is not
    given.
    """
    if target.exists() and source.resolve() == target.resolve():
        raise ValueError(f"{target}: this is the source itself. Write to another name.")
    if target.exists() and not force:
        raise ValueError(f"{target}: it exists already. Give --force to replace it.")
    patch_state, prompt_state, metadata = read_id_patch(source)
    for projection, architecture in check_projections(patch_state, prompt_state).items():
        state = patch_state if projection == "patch_proj" else prompt_state
        dtypes = sorted({str(t.dtype).removeprefix("torch.") for t in state.values()})
        count = sum(t.numel() for t in state.values())
        print(
            f"{projection}: {architecture}, {count / 1e6:.1f} M parameters, {' and '.join(dtypes)}"
        )
    print(f"Writing {target} …", flush=True)
    write_id_patch(target, patch_state, prompt_state, metadata, dtype)
    print(f"Wrote {target}, {target.stat().st_size / 1e6:.1f} MB")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="convert.py",
        description="Converts an ID-Patch model between .bin (released) and .safetensors (ours).",
    )
    parser.add_argument("source", type=Path, help="id-patch.bin or a .safetensors file")
    parser.add_argument(
        "target", type=Path, help="the file to write; its ending decides the format"
    )
    parser.add_argument(
        "--dtype", choices=WEIGHT_DTYPES, help="convert the weights to this dtype (default: keep)"
    )
    parser.add_argument("--force", action="store_true", help="replace the target if it exists")
    options = parser.parse_args(arguments)
    try:
        convert(options.source, options.target, WEIGHT_DTYPES.get(options.dtype), options.force)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
