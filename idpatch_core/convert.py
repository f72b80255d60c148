"""Converts between the released id-patch.bin and our .safetensors, and ControlNets to a dtype.

python idpatch_core/convert.py id-patch.bin id-patch.safetensors --dtype fp16
python idpatch_core/convert.py id-patch-controlnet.safetensors half.safetensors --dtype fp16
"""

import argparse
import importlib
import sys
from pathlib import Path

if not __package__:  # run by its path, which isolated Pythons do not search for modules
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = importlib.import_module("idpatch_core").__name__

from .checkpoint import check_projections, read_id_patch, write_id_patch
from .controlnet_file import CONTROL_NET_DTYPES, convert_control_net, is_control_net
from .weights import WEIGHT_DTYPES, read_weights


def convert(source: Path, target: Path, dtype: str | None, force: bool) -> None:
    """Read an ID-Patch model or a ControlNet, write it, and print what was read and written.

    `dtype` is a name of CONTROL_NET_DTYPES. Raises ValueError if the source is neither, or if the
    target exists and `force` is not given.
    """
    if target.exists() and source.resolve() == target.resolve():
        raise ValueError(f"{target}: this is the source itself. Write to another name.")
    if target.exists() and not force:
        raise ValueError(f"{target}: it exists already. Give --force to replace it.")
    write = write_control_net if _holds_control_net(source) else write_projections
    write(source, target, dtype)
    print(f"Wrote {target}, {target.stat().st_size / 1e6:.1f} MB")


def _holds_control_net(source: Path) -> bool:
    try:
        return is_control_net(read_weights(source)[0])
    except ValueError as error:
        raise ValueError(f"{source.name}: {error}") from error


def write_projections(source: Path, target: Path, dtype: str | None) -> None:
    """Convert an ID-Patch model, and print what it holds."""
    if dtype is not None and dtype not in WEIGHT_DTYPES:
        raise ValueError(
            f"--dtype: {dtype} is for ControlNets. An ID-Patch model takes "
            f"{', '.join(WEIGHT_DTYPES)}."
        )
    patch_state, prompt_state, metadata = read_id_patch(source)
    for projection, architecture in check_projections(patch_state, prompt_state).items():
        state = patch_state if projection == "patch_proj" else prompt_state
        dtypes = sorted({str(t.dtype).removeprefix("torch.") for t in state.values()})
        count = sum(t.numel() for t in state.values())
        print(
            f"{projection}: {architecture}, {count / 1e6:.1f} M parameters, {' and '.join(dtypes)}"
        )
    print(f"Writing {target} …", flush=True)
    write_id_patch(target, patch_state, prompt_state, metadata, WEIGHT_DTYPES.get(dtype or ""))


def write_control_net(source: Path, target: Path, dtype: str | None) -> None:
    """Convert a ControlNet, and print what it holds."""
    print(f"Writing {target} …", flush=True)
    converted = convert_control_net(source, target, CONTROL_NET_DTYPES.get(dtype or ""))
    print(f"ControlNet: {converted.parameters / 1e6:.1f} M parameters")
    if converted.vanished:
        print(
            f"{converted.vanished / converted.parameters:.2%} of them are too small for {dtype} "
            "and became zero."
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="convert.py",
        description="Converts an ID-Patch model between .bin (released) and .safetensors (ours), "
        "or writes its ControlNet (5 GB in fp32) in fp16 or bf16 (2.5 GB) or fp8 (1.3 GB).",
    )
    parser.add_argument(
        "source", type=Path, help="id-patch.bin, a .safetensors file or a ControlNet"
    )
    parser.add_argument(
        "target", type=Path, help="the file to write; its ending decides the format"
    )
    parser.add_argument(
        "--dtype",
        choices=CONTROL_NET_DTYPES,
        help="convert the weights to this dtype (default: keep); fp8 is for ControlNets alone",
    )
    parser.add_argument("--force", action="store_true", help="replace the target if it exists")
    options = parser.parse_args(arguments)
    try:
        convert(options.source, options.target, options.dtype, options.force)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
