"""Who stands where: one place for each person, in output pixels."""

from typing import NamedTuple


class Point(NamedTuple):
    """A place in output pixels; x to the right, y down, (0, 0) the top left corner."""

    x: float
    y: float
