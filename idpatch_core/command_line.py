"""What the commands of the pack share."""

import functools
import sys
from collections.abc import Callable


def report_errors(main: Callable[[list[str] | None], int]) -> Callable[..., int]:
    """Make a command end with one line and exit code 1 where its input or a package is at fault."""

    @functools.wraps(main)
    def run(arguments: list[str] | None = None) -> int:
        try:
            return main(arguments)
        except (ValueError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    return run
