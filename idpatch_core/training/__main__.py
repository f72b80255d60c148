"""Trains ID-Patch.

accelerate launch -m idpatch_core.training CONFIG [section.setting=value …]
"""

import argparse
import sys

from ..command_line import report_errors
from .config_file import load_config


@report_errors
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="accelerate launch -m idpatch_core.training", description="Trains ID-Patch."
    )
    parser.add_argument("config", help="a .toml, .yaml or .json file; see recipes/")
    parser.add_argument("changes", nargs="*", metavar="section.setting=value")
    options = parser.parse_args(arguments)
    config = load_config(options.config, options.changes)
    from .trainer import train  # imports torch: only after the config is valid

    train(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
