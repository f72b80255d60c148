"""Makes a group photo from portraits in a real ComfyUI: python3 -m idpatch_core.demo

It prepares a ComfyUI in the user's cache folder, starts it as a server of its own and stops it
again. `--help` lists the options for your own portraits and models.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..comfyui import environment
from ..comfyui.server import terminating_signals_raise

COMFYUI_VARIABLE = "IDPATCH_DEMO_COMFYUI"  # set in the prepared environment: its ComfyUI folder
MODEL_OPTIONS = ("checkpoint", "controlnet", "idpatch", "face_model")


def parse_demo_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m idpatch_core.demo",
        description="Make a group photo from portraits in a real ComfyUI, without a browser.",
        epilog="Without the four model options it uses the demo models that come with the pack. "
        "They draw small cartoon people and were not trained on photographs.",
    )
    parser.add_argument(
        "--portrait",
        type=parse_file,
        action="append",
        metavar="FILE",
        help="a photo of one person; repeat the option for each person, from left to right "
        "(default: three drawn portraits; required with real models)",
    )
    parser.add_argument("--prompt", help="what the image shows (default: the workflow's prompt)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default: 0)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the workflow's)")
    for name, demo_side in (("width", 192), ("height", 96)):
        sides = f"pixels (default: 1024, with the demo models {demo_side})"
        parser.add_argument(f"--{name}", type=parse_side, help=sides)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("id-patch.png"),
        help="PNG file to write (default: id-patch.png)",
    )
    models = parser.add_argument_group("real models (all four or none)")
    models.add_argument("--checkpoint", type=parse_file, help="an SDXL checkpoint")
    models.add_argument("--controlnet", type=parse_file, help="the ID-Patch ControlNet")
    models.add_argument(
        "--idpatch", type=parse_file, help="the ID-Patch model: id-patch.bin or a .safetensors file"
    )
    models.add_argument(
        "--face-model",
        type=parse_file,
        help="the face recognition model: recognition_arcface_ir_se50.pth",
    )
    parser.add_argument(
        "--cpu", action="store_true", help="run on the CPU (automatic without CUDA)"
    )
    options = parser.parse_args(arguments)
    given = [name for name in MODEL_OPTIONS if getattr(options, name)]
    if given and len(given) < len(MODEL_OPTIONS):
        missing = [f"--{name.replace('_', '-')}" for name in MODEL_OPTIONS if name not in given]
        parser.error(f"real models need all four files; also give {', '.join(missing)}")
    if given and not options.portrait:
        parser.error("real models need photos: give --portrait for each person")
    return options


def parse_file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"no such file: {text}")
    return path


def parse_side(text: str) -> int:
    if not text.isdecimal() or int(text) < 64 or int(text) % 8:
        raise argparse.ArgumentTypeError(f"expected a multiple of 8, at least 64; got {text}")
    return int(text)


def main() -> int:
    options = parse_demo_options()
    if COMFYUI_VARIABLE not in os.environ:
        return enter_environment()
    from .image import make_image

    here = environment.Environment(Path(sys.executable), Path(os.environ[COMFYUI_VARIABLE]))
    return make_image(options, here)


def enter_environment() -> int:
    """Prepare the environment and replace this process with this command run in it."""
    try:
        with terminating_signals_raise():  # so that a running pip ends with this process
            here = environment.prepare_environment()
    except environment.SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    os.environ[COMFYUI_VARIABLE] = str(here.comfyui)
    path = [str(environment.REPOSITORY), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    sys.stdout.flush()
    os.execv(here.python, [str(here.python), "-m", "idpatch_core.demo", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
