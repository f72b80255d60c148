"""Why an image is not used."""

from typing import Any, NamedTuple


class RejectedImage(NamedTuple):
    """An image that is not used."""

    key: str
    reason: str  # counted in the report
    detail: str


class Rejection(Exception):
    """Raised with the reason and the detail of a `RejectedImage`."""

    def __init__(self, reason: str, detail: Any = ""):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, str(detail)
