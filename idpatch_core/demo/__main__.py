"""Makes a group photo from portraits in a real ComfyUI: python3 -m idpatch_core.demo

It prepares everything it needs in the user's cache folder, starts a ComfyUI of its own, and ends
it again. See `--help` for your own portraits and models.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..comfyui import environment
from ..comfyui.server import terminating_signals_raise

INSIDE = "IDPATCH_DEMO_COMFYUI"  # set in the prepared environment: where its ComfyUI is
MODELS = ("checkpoint", "controlnet", "idpatch", "face_model")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m idpatch_core.demo",
        description="Make a group photo from portraits in a real ComfyUI, without a window.",
        epilog="Without the four model options it uses the demo models that come with the pack: "
        "they draw small cartoon people and know no photographs.",
    )
    parser.add_argument(
        "--portrait",
        type=existing_file,
        action="append",
        metavar="FILE",
        help="a photograph of one person; repeat it for each, from left to right "
        "(default: three drawn ones; real models need them)",
    )
    parser.add_argument("--prompt", help="what the picture shows (default: the workflow's)")
    parser.add_argument("--seed", type=int, default=0, help="the random start (default: 0)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the workflow's)")
    parser.add_argument("--width", type=side, help="pixels (default: 1024, demo models 192)")
    parser.add_argument("--height", type=side, help="pixels (default: 1024, demo models 96)")
    parser.add_argument(
        "--out", type=Path, default=Path("id-patch.png"), help="where to write the PNG"
    )
    models = parser.add_argument_group("real models (all four, or none)")
    models.add_argument("--checkpoint", type=existing_file, help="an SDXL checkpoint")
    models.add_argument("--controlnet", type=existing_file, help="the ControlNet of ID-Patch")
    models.add_argument("--idpatch", type=existing_file, help="id-patch.bin or a .safetensors")
    models.add_argument("--face-model", type=existing_file, help="recognition_arcface_ir_se50.pth")
    parser.add_argument(
        "--cpu", action="store_true", help="compute on the CPU (automatic without CUDA)"
    )
    options = parser.parse_args(arguments)
    given = [name for name in MODELS if getattr(options, name)]
    if given and len(given) < len(MODELS):
        missing = [f"--{name.replace('_', '-')}" for name in MODELS if name not in given]
        parser.error(f"real models come all four or none; also give {', '.join(missing)}")
    if given and not options.portrait:
        parser.error("real models need photographs: give --portrait for each person")
    return options


def existing_file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def side(text: str) -> int:
    pixels = int(text)
    if pixels < 64 or pixels % 8:
        raise argparse.ArgumentTypeError(f"expected a multiple of 8 from 64, got {text}")
    return pixels


def main() -> int:
    options = parse_arguments()
    if INSIDE not in os.environ:
        return enter_environment()
    from .picture import make_picture

    here = environment.Environment(Path(sys.executable), Path(os.environ[INSIDE]))
    return make_picture(options, here)


def enter_environment() -> int:
    """Run this command again inside the prepared environment, in this process's place."""
    try:
        with terminating_signals_raise():  # which end a running pip with us
            here = environment.prepare()
    except environment.SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    os.environ[INSIDE] = str(here.comfyui)
    path = [str(environment.REPOSITORY), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    sys.stdout.flush()
    os.execv(here.python, [str(here.python), "-m", "idpatch_core.demo", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
