"""Makes the demo world and trains everything in it: see the package."""

import argparse
import sys
from pathlib import Path

from ..command_line import report_errors
from .stages import STAGE_NAMES, train_stage
from .steps import STEPS
from .world import RECIPES, World, read_world


def make_world(folder: Path, world: World, names: list[str], changes: list[str]) -> None:
    """Run the named steps and stages in their order; `changes` are settings of all stages."""
    for name, make in STEPS.items():
        if name in names:
            make(folder, world)
    for name in STAGE_NAMES:
        if name in names:
            train_stage(folder, RECIPES / world.recipes / f"{name}.toml", changes)


@report_errors
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.demo_world",
        description="Makes the demo world and trains everything in it. An interrupted run resumes.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--world", type=Path, default=RECIPES / "world.toml", help="settings of the world"
    )
    names = [*STEPS, *STAGE_NAMES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="only these steps")
    parser.add_argument(
        "--stage",
        type=Path,
        help="only train by this recipe, whose paths are relative to the folder",
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="section.setting=value")
    options = parser.parse_args(arguments)
    if options.stage:
        train_stage(options.folder, options.stage, options.set)
    else:
        make_world(options.folder, read_world(options.world), options.only, options.set)
    return 0


if __name__ == "__main__":
    sys.exit(main())
