"""Stand-ins for the inspection of an image, for worker processes to import."""

import os
import signal
from pathlib import Path

from idpatch_core.training.rejection import RejectedImage
from idpatch_core.training.sources import Source


def note(source: Source) -> RejectedImage:
    """Leave a file beside the image, so that a test sees what was inspected."""
    Path(f"{source.image.path}.seen").touch()
    return RejectedImage(source.key, "noted", "")


def die_with_some(source: Source) -> RejectedImage:
    """Kill the process with the image `bad`, and once with the image `unlucky`."""
    path = Path(f"{source.image.path}.seen")
    if source.key == "bad" or (source.key == "unlucky" and not path.exists()):
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return note(source)
